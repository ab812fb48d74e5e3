"""Pooling of shifted arrays is the primitive's, NaN and ties included, with its derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import export, lax

from camjax.trace._cpu_windows import pooling

OPERATIONS = {"max": (lax.max, -jnp.inf), "min": (lax.min, jnp.inf), "sum": (lax.add, 0.0)}


def pools(kind, sizes, strides, padding, dilation):
    """The primitive over all but the first and last axis, and what stands for it."""
    operation, neutral = OPERATIONS[kind]
    params = {
        "window_dimensions": (1, *sizes, 1),
        "window_strides": (1, *strides, 1),
        "padding": ((0, 0), *padding, (0, 0)),
        "base_dilation": (1,) * (len(sizes) + 2),
        "window_dilation": (1, *dilation, 1),
    }

    def plain(x):
        return lax.reduce_window(x, jnp.array(neutral, x.dtype), operation, **params)

    return plain, functools.partial(pooling, f"reduce_window_{kind}", params, plain)


@settings(max_examples=40)
@given(st.sampled_from(list(OPERATIONS)), st.sampled_from(["float32", "bfloat16"]), st.data())
def test_it_is_the_primitive(kind, dtype, data):
    axes = data.draw(st.integers(1, 3))

    def per_axis(low, high):
        return tuple(data.draw(st.integers(low, high)) for _ in range(axes))

    padding = tuple(zip(per_axis(-1, 2), per_axis(-1, 2), strict=True))
    plain, fast = pools(kind, per_axis(1, 3), per_axis(1, 3), padding, per_axis(1, 2))
    x = jax.random.normal(jax.random.key(0), (2, *per_axis(7, 8), 3)).astype(dtype)
    x = x.at[0, 0].set(data.draw(st.sampled_from([0.0, jnp.inf, jnp.nan])))
    got, want = (jax.jit(f)(x) for f in (fast, plain))
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    check = np.testing.assert_array_equal if kind != "sum" else functools.partial(np.testing.assert_allclose, atol=1e-5)
    check(np.asarray(got, np.float32), np.asarray(want, np.float32))


@pytest.mark.parametrize("kind", OPERATIONS)
def test_its_derivatives_are_the_primitive_s_ties_included(kind):
    plain, fast = pools(kind, (3, 2), (2, 1), ((1, 1), (0, 1)), (1, 1))
    x = jnp.round(jax.random.normal(jax.random.key(0), (3, 2, 8, 7, 2)))  # many entries are equal

    def loss(f):
        return lambda x: jnp.sum(jnp.sin(jax.vmap(f)(x) + 0.1))

    check = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    check(jax.grad(loss(fast))(x), jax.grad(loss(plain))(x))
    check(jax.jvp(loss(fast), (x,), (x,))[1], jax.jvp(loss(plain), (x,), (x,))[1])
    check(*(jax.jvp(jax.grad(loss(f)), (x,), (x,))[1] for f in (fast, plain)))


def test_of_less_than_a_window_there_is_nothing():
    plain, fast = pools("max", (3, 3), (2, 2), ((0, 0), (0, 0)), (1, 1))
    for rows in (1, 2):
        x = jnp.ones((2, rows, 8, 3))
        assert fast(x).shape == plain(x).shape == (2, 0, 3, 3)


@pytest.mark.parametrize("shape", ["1, h, 8, 2", "b, 8, 8, 2"])
def test_sizes_may_be_unknown(shape):
    plain, fast = pools("max", (3, 3), (2, 2), ((0, 0), (0, 0)), (1, 1))
    exported = export.export(jax.jit(fast))(jax.ShapeDtypeStruct(export.symbolic_shape(shape), jnp.float32))
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 2))
    np.testing.assert_array_equal(exported.call(x), plain(x))


@pytest.mark.parametrize(
    ("sizes", "strides", "kind", "dtype", "replaced"),
    [
        ((3, 3), (2, 2), "max", "float32", True),
        ((2, 2), (2, 2), "max", "float32", False),  # side by side
        ((33, 3), (1, 1), "max", "float32", False),
        ((3, 3), (1, 1), "max", "bfloat16", True),
        ((3, 3), (1, 1), "sum", "bfloat16", False),  # which the primitive rounds once
    ],
)
def test_where_it_is_chosen(sizes, strides, kind, dtype, replaced):
    _, fast = pools(kind, sizes, strides, ((16, 16), (1, 1)), (1, 1))
    text = str(jax.make_jaxpr(fast)(jnp.zeros((1, 8, 8, 2), dtype)))
    assert ("reduce_window" not in text) == replaced
