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
from camjax.trace._program import evaluate, live, read
from tests.wild.transformers import class_token

X = np.random.default_rng(0).normal(size=(2, 10, 6)).astype(np.float32)
W = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)


def both(function, x=X):
    """The function as it is traced, and narrowed; each with the sizes of all that it computes."""
    program = flatten(jax.make_jaxpr(function)(x), 0)
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
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_each_step_is_narrowed_to_the_token_that_is_read(step):
    before, after = same(lambda x: step(jnp.tanh(x))[:, -2] + 1)
    assert sum(after) < 0.8 * sum(before)  # not all: attention reads the keys of all tokens


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
    assert sum(after) <= sum(before) + sum(n for n in after if n <= X.size / 2)  # parts are cut out, nothing else added


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
    same(lambda x: jnp.tanh(x).reshape(2, 5, 12)[:, 1])
    same(lambda x: jnp.tanh(x).reshape(20, 6)[3])


def test_a_loop_is_left_alone():
    def function(x):
        y, _ = jax.lax.scan(lambda c, _: (jnp.tanh(c), None), x, length=2)
        return (y * 2)[:, 0]

    same(function)


def test_behind_the_last_attention_of_a_transformer_only_the_class_token_is_computed():
    case = class_token()
    with jax.numpy_rank_promotion("allow"):  # as its author had it
        cut = camjax.split(case.model, case.x)
        maps, rest = cut.features(case.model.params, case.x)
        outputs = cut.head(case.model.params, maps, rest), case.model(case.x)
    hidden = 24  # of the block's MLP, for 12 patches and a class token
    half: Any = cut.head
    shapes = {v.shape for e in half.__self__._narrow for v in e.outputs if v.shape[-1:] == (hidden,)}
    assert shapes == {(1, 1, hidden)}
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-6)
