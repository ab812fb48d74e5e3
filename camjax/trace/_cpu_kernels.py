"""Convolutions as XLA's CPU backend is fast at them: equal expressions, up to the rounding of sums.

x: [n, *space, c], k: [*taps, i, o], y: [n, *out, o]; `x_t` is the padded x, shifted by tap t, every stride-th entry.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
from jax import lax

if TYPE_CHECKING:
    from jaxtyping import Array, Float


class Window(NamedTuple):
    """Which entries of a picture meet which tap of the kernel, and how products are summed, as XLA says it."""

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    precision: Any
    dtype: Any

    def pad(self, x: Float[Array, "n *space c"]) -> Float[Array, "n *padded c"]:
        """Zeros around the picture, or less of it where the padding is negative."""
        if not any(itertools.chain(*self.padding)):
            return x
        return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in self.padding), (0, 0, 0)])

    def shifts(
        self, x: Float[Array, "n *space c"], taps: tuple[int, ...]
    ) -> Iterator[tuple[tuple[int, ...], Float[Array, "n *out c"]]]:
        """Each tap t, and `x_t`."""
        # Else slices that miss the zeros are taken of x itself, and the sum reads two arrays: twice as slow.
        x = lax.optimization_barrier(self.pad(x))
        reach = [(t - 1) * d for t, d in zip(taps, self.dilation, strict=True)]
        last = [(n - r - 1) // s * s for n, r, s in zip(x.shape[1:-1], reach, self.strides, strict=True)]
        for tap in itertools.product(*map(range, taps)):
            start = [t * d for t, d in zip(tap, self.dilation, strict=True)]
            stop = [a + n + 1 for a, n in zip(start, last, strict=True)]
            yield tap, lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *self.strides, 1))


Kernel = Callable[[Window, Any, Any], Any]


def depthwise(window: Window, x: Float[Array, "n *space c"], k: Float[Array, "*taps 1 o"]) -> Float[Array, "n *out o"]:
    """`y = sum_t x_t k_t`, channel by channel."""
    out = window.dtype or x.dtype
    wide = jnp.float32 if jnp.finfo(out).bits < 32 else out
    if (times := k.shape[-1] // x.shape[-1]) > 1:  # several outputs per channel, side by side
        x = jnp.repeat(x, times, axis=-1)
    x, k = x.astype(wide), k.astype(wide)
    terms = (
        shifted * lax.expand_dims(k[(*tap, 0)], range(x.ndim - 1)) for tap, shifted in window.shifts(x, k.shape[:-2])
    )
    return functools.reduce(lax.add, terms).astype(out)


def pointwise(window: Window, x: Float[Array, "n *space c"], k: Float[Array, "*ones c o"]) -> Float[Array, "n *out o"]:
    """`y = x k`, a matrix product, at every stride-th entry."""
    ((_, x),) = window.shifts(x, k.shape[:-2])
    dims = (((x.ndim - 1,), (0,)), ((), ()))
    k = k.reshape(k.shape[-2:])
    return lax.dot_general(x, k, dims, precision=window.precision, preferred_element_type=window.dtype)
