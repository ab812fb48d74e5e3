"""Summation to delta, for each rule of DeepLIFT and for random heads; and what each rule says beside that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import camjax
from camjax.trace._lift import multipliers
from tests.trace.nets import conv, kernel

RNG = np.random.default_rng(0)
W, C = RNG.normal(size=(4, 4)), RNG.normal(size=(3, 5, 4))


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64():
        yield


def pool(z, how, start):
    return lax.reduce_window(z, start, how, (2, 2, 1), (1, 1, 1), "SAME")


def guarded_root(a):
    """A root that is not finite at the reference, where it is not taken."""
    return jnp.where(a > 0, a * lax.rsqrt(jnp.abs(a)), 0)


# From z = A W + C and A to an array: one for each rule, and for the ways in which models write nonlinearities.
FUNCTIONS = {
    "linear": lambda z, a: z + 2 * a,
    "relu": lambda z, a: jax.nn.relu(z),
    "relu6": lambda z, a: jax.nn.relu6(4 * z),
    "leaky relu": lambda z, a: jax.nn.leaky_relu(z),
    "masked": lambda z, a: z * (z > 0).astype(z.dtype),
    "gelu": lambda z, a: jax.nn.gelu(z, approximate=False),
    "silu": lambda z, a: jax.nn.silu(z),
    "softplus": lambda z, a: jax.nn.softplus(z),
    "hard swish": lambda z, a: jax.nn.hard_swish(3 * z),
    "round": lambda z, a: jnp.round(3 * z),
    "where": lambda z, a: jnp.where(a > 0.3, jnp.sin(z), a),
    "guarded root": lambda z, a: guarded_root(a),
    "guarded logarithm": lambda z, a: jnp.where(a > 0, jnp.log(a), z),
    "and": lambda z, a: jnp.logical_and(z > 0, a > 0).astype(a.dtype),
    "product": lambda z, a: z * a,
    "quotient": lambda z, a: z / (1 + jnp.square(a)),
    "power": lambda z, a: (1 + jnp.abs(z)) ** a,
    "clamp": lambda z, a: lax.clamp(-jnp.abs(z), a, z),
    "matrix product": lambda z, a: jnp.einsum("spc,spd->scd", z, a),
    "max pool": lambda z, a: pool(z, lax.max, -jnp.inf),
    "maximum of an axis": lambda z, a: z.max(1),
    "minimum of an axis": lambda z, a: z.min(1),
    "maximum of two": lambda z, a: jnp.maximum(z, a),
    "softmax": lambda z, a: jax.nn.softmax(z),
    "log-softmax": lambda z, a: jax.nn.log_softmax(z),
    "normalised": lambda z, a: (z - z.mean(-1, keepdims=True)) * lax.rsqrt(z.var(-1, keepdims=True) + 1e-5),
    "unit length": lambda z, a: z / jnp.linalg.norm(z, axis=-1, keepdims=True),
    "attention": lambda z, a: jax.nn.softmax(z @ z.swapaxes(1, 2)) @ a,
    "gradient stopped": lambda z, a: lax.stop_gradient(z) * a,
    "scan": lambda z, a: lax.scan(lambda h, _: (jnp.tanh(h @ jnp.broadcast_to(W, (3, 4, 4)) + z), None), a, length=2)[
        0
    ],
    "sort": lambda z, a: jnp.sort(z),
    "product of an axis": lambda z, a: z.prod(1),
    "index": lambda z, a: z.reshape(-1)[jnp.argmax(z)],
    "branch": lambda z, a: lax.cond(a.sum() > 0, jnp.tanh, jnp.square, z),
}


def head(name):
    def score(a):
        z = a @ jnp.broadcast_to(W, (3, 4, 4)) + C
        out = FUNCTIONS[name](z, a)
        return jnp.vdot(jnp.asarray(np.random.default_rng(1).normal(size=out.size)), out.reshape(-1))

    return score


@pytest.mark.parametrize("name", FUNCTIONS)
def test_summation_to_delta(name):
    score = head(name)
    found = jax.jit(lambda a, a0: multipliers(score, a, a0))
    random, zeros = RNG.normal(size=C.shape), np.zeros(C.shape)
    dead = np.where(np.arange(4) == 1, 0, random)
    for a, a0 in ((random, zeros), (dead, zeros), (zeros, zeros)):
        m = found(jnp.asarray(a), jnp.asarray(a0))
        assert np.isfinite(m).all()
        delta = score(jnp.asarray(a)) - score(jnp.asarray(a0))
        size = np.abs(m * a).sum() + np.abs(delta)
        if np.isfinite(delta):  # the logarithm at the reference is not taken, but its case may be
            assert np.abs((m * (a - a0)).sum() - delta) <= 1e-9 * size


@settings(max_examples=6)
@given(
    seed=st.integers(0, 2**31), names=st.lists(st.sampled_from(["gelu", "softmax", "normalised", "product", "relu"]))
)
def test_it_holds_for_chains_of_layers_and_any_reference(seed, names):
    rng = np.random.default_rng(seed)
    a, a0, weights = rng.normal(size=C.shape), rng.normal(size=C.shape), rng.normal(size=(len(names) + 1, 4, 4))

    def score(a):
        h = a
        for name, V in zip(names, weights, strict=False):
            h = FUNCTIONS[name](h @ jnp.broadcast_to(V, (3, 4, 4)), h)
        return jnp.square(h).sum()

    m = multipliers(score, jnp.asarray(a), jnp.asarray(a0))
    terms = m * (a - a0)
    delta = score(jnp.asarray(a)) - score(jnp.asarray(a0))
    assert np.abs(terms.sum() - delta) <= 1e-9 * (np.abs(terms).sum() + np.abs(delta))


@pytest.mark.parametrize(
    "write",
    [
        jax.nn.relu,
        lambda z: z * (z > 0).astype(z.dtype),
        lambda z: jnp.where(z > 0, z, 0),
        lambda z: (z + jnp.abs(z)) / 2,
        lambda z: jnp.maximum(z, 0 * z),
    ],
    ids=["max", "mask", "where", "abs", "max of two"],
)
def test_a_relu_has_the_rescale_rule_however_it_is_written(write):
    z, z0 = jnp.array([3.0, -1.0, 2.0, -2.0]), jnp.array([-1.0, 3.0, 1.0, -1.0])
    m = multipliers(lambda z: write(z).sum(), z, z0)
    np.testing.assert_allclose(m, [3 / 4, 3 / 4, 1, 0], rtol=1e-12, atol=1e-12)


def test_where_the_difference_is_tiny_it_is_the_gradient():
    z = jnp.linspace(-2, 2, 7)
    for f in (jnp.tanh, jnp.exp, jax.nn.sigmoid, lambda z: jnp.sqrt(z + 3), lambda z: (z + 3) ** 2.5):
        want = jax.vmap(jax.grad(f))(z)
        for step in (0, 1e-12, 1e-9):
            got = multipliers(lambda z, f=f: f(z).sum(), z + step, z)
            np.testing.assert_allclose(got, want, rtol=1e-7)


def test_a_product_is_shared_between_its_factors_symmetrically():
    # 2 * 5 = 10 from nothing: both orders give one factor all and the other nothing, so each has half.
    m = multipliers(lambda z: z[0] * z[1], jnp.array([2.0, 5.0]), jnp.zeros(2))
    np.testing.assert_allclose(m, [2.5, 1])


def test_a_maximum_is_what_became_the_maximum():
    m = multipliers(lambda z: z.max(), jnp.array([1.0, 4.0, 3.0]), jnp.array([2.0, 0.0, 0.0]))
    np.testing.assert_allclose(m, [0, 2 / 4, 0])  # 4 - 2, of the 4 by which the second grew
    m = multipliers(lambda z: z.max(), jnp.array([1.0, 0.0]), jnp.array([3.0, 0.0]))
    np.testing.assert_allclose(m, [1, 0])


def test_what_does_not_depend_on_the_point_has_no_multipliers():
    np.testing.assert_array_equal(multipliers(lambda z: jnp.float64(3), jnp.ones(2), jnp.zeros(2)), [0, 0])
    np.testing.assert_array_equal(multipliers(lambda z: z[0], jnp.ones(2), jnp.zeros(2)), [1, 0])


def test_a_while_loop_is_refused_by_name():
    def score(z):
        return lax.while_loop(lambda z: z.sum() < 10, lambda z: 2 * z + 1, z).sum()

    with pytest.raises(ValueError, match=r"LIFT-CAM needs the derivative .* none of 'while' .* Name a layer behind it"):
        multipliers(score, jnp.ones(2), jnp.zeros(2))


def test_a_head_that_a_cpu_evaluates_otherwise_has_the_same_multipliers():
    """SqueezeNet's head is a pointwise convolution."""

    def apply(p, x):
        with jax.named_scope("maps"):
            x = jax.nn.relu(conv(x, p["maps"]))
        return jax.nn.relu(conv(x, p["classes"])).mean((1, 2))

    params = {"maps": kernel(3, 3, 3, 6), "classes": kernel(1, 1, 6, 4)}
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 3))
    raw = [
        camjax.explain(camjax.Model(apply, params, rewrite=rewrite), x, 1, layer="maps", method=camjax.LiftCAM()).raw
        for rewrite in (True, False)
    ]
    np.testing.assert_allclose(*raw, rtol=1e-5, atol=1e-6)
