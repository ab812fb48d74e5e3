"""What is narrowed computes the same, with the same derivatives, and nothing that is not read."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import camjax
from camjax.trace._flatten import flatten
from camjax.trace._narrow import narrow
from camjax.trace._program import close, evaluate, live, read
from tests.wild.transformers import class_token

X = np.random.default_rng(0).normal(size=(2, 10, 6)).astype(np.float32)
W = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)


def both(function, x=X):
    """The function as it is traced, and narrowed; each with the sizes of all that it computes."""
    program = close(flatten(jax.make_jaxpr(function)(x), 0), [])
    plain = live(program.equations, program.outputs)

    def of(equations):
        def run(x):
            env = {**program.consts, **dict(zip(program.inputs, [x], strict=True))}
            evaluate(equations, env)
            return [read(env, atom) for atom in program.outputs]

        return run, [int(np.prod(v.shape)) for e in equations for v in e.outputs]

    return of(plain), of(narrow(plain, program.outputs))


def same(function, x=X):
    """That both agree, in their derivatives too; returns the sizes of what they compute."""
    (plain, before), (narrowed, after) = both(function, x)
    results = [jax.jit(lambda x, f=f: (f(x), jax.jacrev(f)(x), jax.jacfwd(f)(x)))(x) for f in (plain, narrowed)]
    for one, other in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    return before, after


STEPS = {  # from [2, 10, 6] to what keeps the tokens apart; behind it the last but one is read
    "pointwise": lambda x: jnp.tanh(x) * x + 2,
    "axes of length one": lambda x: x * jnp.arange(10.0, dtype=np.float32)[None, :, None] + x[:1, :1],
    "chosen": lambda x: jnp.where(x > 0, x, 2 * x),
    "product with a weight": lambda x: x @ W,
    "weight on the left": lambda x: jnp.einsum("oc,bnc->bno", W, x),
    "mixed tokens": lambda x: jnp.einsum("bnc,bmc,bmd->bnd", x, x, x),
    "attention": lambda x: jax.nn.softmax(x @ x.swapaxes(1, 2), axis=-1) @ x,
    "heads": lambda x: x.reshape(2, 10, 3, 2).swapaxes(1, 2).swapaxes(1, 2).reshape(2, 10, 6) * 3,
    "normalised": lambda x: (x - x.mean(-1, keepdims=True)) / (1e-3 + x.std(-1, keepdims=True)),
    "largest": lambda x: x - x.max(-1, keepdims=True) - x.min(-1, keepdims=True),
    "repeated": lambda x: jnp.broadcast_to(x.sum(2)[..., None], (2, 10, 6)) + x,
    "squeezed": lambda x: jnp.squeeze(x[:, :, None], 2),
    "clipped": lambda x: jnp.clip(x, -0.5, 0.5) + jnp.where(jnp.array(True), x, 0.0),
    "integers": lambda x: x * (10 * x).astype(np.int32).astype(np.float32),
}
# The first ones read all tokens' keys, or the first token, too; of the others a tenth is computed.
WHOLE = {"mixed tokens": 0.8, "attention": 0.8, "axes of length one": 0.55}


@pytest.mark.parametrize("name", STEPS)
def test_each_step_is_narrowed_to_the_token_that_is_read(name):
    before, after = same(lambda x: STEPS[name](jnp.tanh(x))[:, -2] + 1)
    assert sum(after) < WHOLE.get(name, 0.35) * sum(before)


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=3),
    start=st.integers(0, 8),
    length=st.integers(1, 10),
    stride=st.integers(1, 4),
    other=st.integers(0, 9),
)
def test_whatever_is_read_is_computed(steps, start, length, stride, other):
    def function(x):
        for step in steps:
            x = STEPS[step](x) / 4
        return x[:, start : start + length : stride].sum(1) + x[:, other]

    before, after = same(function)
    large = [[n for n in sizes if n > X.size / 2] for sizes in (before, after)]
    assert len(large[1]) <= len(large[0])
    assert sum(large[1]) <= sum(large[0])


def test_what_all_read_is_computed_once_and_whole():
    def function(x):
        y = jnp.tanh(x)
        return y[:, 0], y.sum(1)

    before, after = same(function)
    assert after == before


@pytest.mark.parametrize(
    "last", [lambda x: x[:, :6], lambda x: x[:, ::2], lambda x: jnp.flip(x, 1)[:, 0], lambda x: x.cumsum(1)[:, 3]]
)
def test_more_than_half_of_an_axis_and_unknown_operations_stay_as_they_are(last):
    program = flatten(jax.make_jaxpr(lambda x: last(jnp.tanh(x)))(X), 0)
    assert next(v.shape for e in narrow(program.equations, program.outputs) for v in e.outputs) == X.shape
    same(lambda x: last(jnp.tanh(x)))


def test_a_reshape_that_mixes_the_axis_that_is_read_computes_all_of_it():
    for change in (lambda x: x.reshape(2, 5, 12)[:, 1], lambda x: x.reshape(20, 6)[3]):
        _, after = same(lambda x, change=change: change(jnp.tanh(x)))
        assert after[0] == X.size


@pytest.mark.parametrize(
    "call", [jax.nn.relu, lambda x: jax.lax.scan(lambda c, _: (jnp.tanh(c), None), x, length=2)[0]]
)
def test_loops_and_calls_with_their_own_derivative_are_left_alone(call):
    _, after = same(lambda x: (call(jnp.sin(x)) * 2)[:, 0])
    assert [n for n in after if n > X.size / 2] == [X.size] * 2  # the sine, and the call


@pytest.mark.parametrize("part", [np.s_[:, 3:3:2], np.s_[:, 1:8:3], np.s_[:0], np.s_[:, ::-1][1]])
def test_empty_and_strided_parts(part):
    same(lambda x: (jnp.tanh(x) * 2)[part] + 1)


def test_a_token_that_is_read_twice():
    before, after = same(lambda x: (y := jnp.tanh(x))[:, 3] * y[:, 3] + jnp.exp(y[:, 4]))
    assert max(after) == 24 < max(before)  # both tokens of both examples


def test_behind_the_last_attention_of_a_transformer_only_the_class_token_is_computed():
    case = class_token()
    with jax.numpy_rank_promotion("allow"):  # as its author had it
        cut = camjax.split(case.model, case.x)
        maps, rest = cut.features(case.model.params, case.x)
        outputs = cut.head(case.model.params, maps, rest), case.model(case.x)
    hidden = 24  # of the block's MLP, for 12 patches and a class token
    half: Any = cut.head
    shapes = {v.shape for e in half.__self__._narrowed for v in e.outputs if v.shape[-1:] == (hidden,)}
    assert shapes == {(1, 1, hidden)}
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-6)
