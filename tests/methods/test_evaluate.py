"""Many evaluations, so many at a time: the same values, of one program."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camjax.methods._evaluate import each, mean_of


def value(number):
    return {"square": number**2, "row": jnp.full(3, number, jnp.float32)}


@given(st.integers(1, 40), st.integers(1, 50))
def test_any_chunk_gives_every_value_in_order_and_their_mean(count, chunk):
    found = each(value, count, chunk)
    np.testing.assert_array_equal(found["square"], np.arange(count) ** 2)
    np.testing.assert_array_equal(found["row"], np.tile(np.arange(count)[:, None], 3))
    mean = mean_of(lambda number: value(number)["row"], count, chunk)
    np.testing.assert_allclose(mean, np.full(3, (count - 1) / 2), rtol=1e-6)


@pytest.mark.parametrize(("count", "chunk", "times", "size"), [(512, 5, 103, 5), (12, 5, 3, 4), (4, 9, 1, 4)])
def test_what_is_left_over_is_not_compiled_by_itself(count, chunk, times, size):
    traced = []

    def function(number):
        traced.append(number)
        return jnp.sin(number.astype(jnp.float32))

    text = str(jax.make_jaxpr(lambda: each(function, count, chunk))())
    assert len(traced) == text.count(" sin ") == 1
    assert f"length={times}" in text
    assert f"f32[{size}] = sin" in text
