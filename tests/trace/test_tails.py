"""Softmax-like tails in every form they are written in, and what only looks like one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from camjax.trace import _tails
from camjax.trace._flatten import flatten
from camjax.trace._program import live
from tests.trace.test_flatten import run

Z = jnp.array([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0]])


def shifted(z):
    e = jnp.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def plain(z):
    return jnp.exp(z) / jnp.exp(z).sum(-1, keepdims=True)


def by_hand(z):
    e = jnp.exp(z)
    return e / e.sum(-1, keepdims=True)


def reciprocal(z):
    e = jnp.exp(z)
    return e * (1.0 / e.sum(-1, keepdims=True))


def stripped(f, z=Z):
    """What `f(2 z)` is without its tail, and the tail's kind."""

    def model(x):
        return f(x * 2.0)

    flat = flatten(jax.make_jaxpr(model)(z), 0, {})
    changed, kind = _tails.strip(flat, live(flat.equations, flat.outputs))
    return run(changed, z), kind


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        (jax.nn.softmax, "softmax"),
        (shifted, "softmax"),
        (by_hand, "softmax"),
        (plain, "softmax"),
        (reciprocal, "softmax"),
        (lambda z: jnp.exp(jax.nn.log_softmax(z)), "softmax"),
        (lambda z: jnp.exp(z - jax.nn.logsumexp(z, -1, keepdims=True)), "softmax"),
        (lambda z: jnp.clip(jax.nn.softmax(z), 1e-7, 1.0), "softmax"),
        (lambda z: jnp.maximum(jax.nn.softmax(z), 1e-7), "softmax"),
        (lambda z: jax.jit(jax.nn.softmax)(z), "softmax"),
        (jax.nn.log_softmax, "log-softmax"),
        (lambda z: jnp.log(jax.nn.softmax(z)), "log-softmax"),
        (lambda z: jnp.log(jnp.clip(jax.nn.softmax(z), 1e-7, 1.0)), "log-softmax"),
        (lambda z: jnp.log(jax.nn.softmax(z) + 1e-8), "log-softmax"),
        (lambda z: z - jax.nn.logsumexp(z, -1, keepdims=True), "log-softmax"),
        (lambda z: z - jnp.log(jnp.exp(z).sum(-1, keepdims=True)), "log-softmax"),
        (jax.nn.sigmoid, "sigmoid"),
        (lambda z: 1.0 / (1.0 + jnp.exp(-z)), "sigmoid"),
        (lambda z: jnp.clip(jax.nn.sigmoid(z), 0.01, 0.99), "sigmoid"),
    ],
)
def test_the_score_is_taken_before_the_tail(tail, kind):
    (logits,), found = stripped(tail)
    assert found == kind
    np.testing.assert_array_equal(logits, 2.0 * Z)


def test_a_temperature_stays_with_the_logits():
    (logits,), found = stripped(lambda z: jax.nn.softmax(z / 4.0))
    assert found == "softmax"
    np.testing.assert_array_equal(logits, Z / 2.0)


@pytest.mark.parametrize(
    "move",
    [
        lambda p: p.T,
        lambda p: p.reshape(-1, 1, 3),
        lambda p: p[:, None],
        lambda p: p.astype(jnp.bfloat16),
        lambda p: jnp.clip(p.T.reshape(3, 2), 0.0, 1.0),
    ],
)
def test_what_moves_the_probabilities_moves_the_logits(move):
    (logits,), found = stripped(lambda z: move(jax.nn.softmax(z)))
    assert found == "softmax"
    expected = {False: move(2.0 * Z), True: (2.0 * Z).T}[logits.shape == (3, 2)]
    np.testing.assert_array_equal(logits, expected)


@pytest.mark.parametrize(
    "f",
    [
        lambda z: z / z.sum(-1, keepdims=True),
        lambda z: jnp.exp(z) / z.sum(-1, keepdims=True),
        lambda z: jnp.exp(z) / jnp.exp(2.0 * z).sum(-1, keepdims=True),
        lambda z: jnp.exp(z) / jnp.exp(z).max(-1, keepdims=True),
        lambda z: jax.nn.softmax(z) @ jnp.eye(3),
        lambda z: jax.nn.softmax(z) * 2.0,
        lambda z: jax.nn.softmax(z) + z,
        lambda z: z * jax.nn.sigmoid(z),
        lambda z: jnp.where(z > 0.0, jax.nn.softmax(z), jnp.zeros_like(z)),
        lambda z: 2.0 / (1.0 + jnp.exp(-z)),
        lambda z: 1.0 / (2.0 + jnp.exp(-z)),
        lambda z: 1.0 / (1.0 + jnp.exp(z)),
        lambda z: jnp.exp(z),
        lambda z: jnp.log(z * z),
        lambda z: z - jnp.log(jnp.exp(z).max(-1, keepdims=True)),
        lambda z: jax.nn.softmax(z, axis=0),
        lambda z: jnp.argmax(jax.nn.softmax(z), -1),
        lambda z: jax.nn.softmax(z)[:, :2],
        lambda z: z,
    ],
)
def test_what_is_no_tail_is_left_alone(f):
    (output,), found = stripped(f)
    assert found is None
    np.testing.assert_array_equal(output, f(2.0 * Z))


def test_each_output_is_looked_at_by_itself():
    (scores, logits, half), found = stripped(lambda z: (jax.nn.softmax(z), z, jax.nn.softmax(z) / 2.0))
    assert found == "softmax"
    np.testing.assert_array_equal(scores, 2.0 * Z)
    np.testing.assert_array_equal(logits, 2.0 * Z)
    np.testing.assert_array_equal(half, jax.nn.softmax(2.0 * Z) / 2.0)


def test_constants_that_are_no_tail_are_left_alone():
    assert stripped(lambda z: (jax.nn.softmax(jnp.ones(3)), z))[1] is None


def test_the_attention_in_the_middle_of_a_model_is_kept():
    def f(z):
        attention = jax.nn.softmax(z @ z.T)
        return jax.nn.softmax(attention @ z)

    (logits,), found = stripped(f)
    assert found == "softmax"
    np.testing.assert_allclose(logits, jax.nn.softmax(4.0 * Z @ Z.T) @ (2.0 * Z), rtol=1e-5, atol=1e-7)
