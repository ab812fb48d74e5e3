"""Pooling over overlapping windows, as XLA's CPU backend is fast at it: the largest, or the sum, of shifted arrays.

`benchmarks/convolutions.py` measured it. Windows side by side it computes as fast by itself.
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


def pooling(name: str, params: dict[str, Any], plain: Callable[[Any], Any], x: Float[Array, "..."]) -> Any:
    """The primitive's result, `plain(x)`, axis after axis; it has the derivative of `plain`."""
    sizes, strides, dilation = params["window_dimensions"], params["window_strides"], params["window_dilation"]
    overlap = any(stride < size for size, stride in zip(sizes, strides, strict=True))
    rounded = name == "reduce_window_sum" and jnp.finfo(x.dtype).bits < 32  # XLA sums in float32
    if not overlap or sizes[-1] != 1 or max(sizes) > _TAPS or set(params["base_dilation"]) != {1} or rounded:
        return plain(x)
    operation, neutral = _OPERATIONS[name]

    @jax.custom_jvp
    def call(x: Any) -> Any:
        x = lax.pad(x, jnp.array(neutral, x.dtype), [(low, high, 0) for low, high in params["padding"]])
        for axis, (size, stride, step) in enumerate(zip(sizes, strides, dilation, strict=True)):
            if size > 1 or stride > 1:
                x = lax.optimization_barrier(x)  # else what computes it is computed again for each shift
                last = (x.shape[axis] - (size - 1) * step - 1) // stride * stride
                shifted = (lax.slice_in_dim(x, t * step, t * step + last + 1, stride, axis=axis) for t in range(size))
                x = functools.reduce(operation, shifted)
        return x

    def rule(primals: Any, tangents: Any) -> Any:
        return call(*primals), jax.jvp(plain, primals, tangents)[1]

    call.defjvp(rule)
    return call(x)
