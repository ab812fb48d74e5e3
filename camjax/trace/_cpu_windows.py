"""Pooling over overlapping windows, as XLA's CPU backend is fast at it: the largest, or the sum, of shifted arrays.

`benchmarks/convolutions.py` measured it. Windows side by side are left to it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

if TYPE_CHECKING:
    from jaxtyping import Array, Float

_OPERATIONS = {
    "reduce_window_max": (lax.max, -jnp.inf),
    "reduce_window_min": (lax.min, jnp.inf),
    "reduce_window_sum": (lax.add, 0.0),
}
_TAPS = 32  # along an axis; a longer expression takes long to compile


def pooling(name: str, params: dict[str, Any], plain: Callable[[Any], Any], x: Float[Array, "... c"]) -> Any:
    """The primitive's result, `plain(x)`, up to the rounding of sums, axis after axis; its derivative is `plain`'s."""
    sizes, strides, dilation = params["window_dimensions"], params["window_strides"], params["window_dilation"]
    axes = [axis for axis, (size, stride) in enumerate(zip(sizes, strides, strict=True)) if max(size, stride) > 1]
    rounded = name == "reduce_window_sum" and jnp.finfo(x.dtype).bits < 32  # at each sum; XLA sums in float32
    apart = all(strides[axis] >= sizes[axis] for axis in axes) or set(params["base_dilation"]) != {1}
    if apart or rounded or sizes[-1] != 1 or max(sizes) > _TAPS:  # the channels are not last, if they are pooled
        return plain(x)
    padded = [n + low + high for n, (low, high) in zip(x.shape, params["padding"], strict=True)]
    if any(not isinstance(padded[a], int) or padded[a] <= (sizes[a] - 1) * dilation[a] for a in axes):
        return plain(x)
    operation, neutral = _OPERATIONS[name]

    @jax.custom_jvp
    def call(x: Any) -> Any:
        x = lax.pad(x, jnp.array(neutral, x.dtype), [(low, high, 0) for low, high in params["padding"]])
        for axis in axes:
            size, stride, step = sizes[axis], strides[axis], dilation[axis]
            x = lax.optimization_barrier(x)  # else what computes it is computed again for each shift
            last = (x.shape[axis] - (size - 1) * step - 1) // stride * stride
            starts = range(0, size * step, step)
            shifted = (lax.slice_in_dim(x, start, start + last + 1, stride, axis=axis) for start in starts)
            x = functools.reduce(operation, shifted)
        return x

    def rule(primals: Any, tangents: Any) -> Any:
        return call(*primals), jax.jvp(plain, primals, tangents)[1]

    call.defjvp(rule)
    return call(x)
