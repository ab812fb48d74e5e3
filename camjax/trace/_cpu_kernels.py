"""Convolutions as XLA's CPU backend is fast at them: equal expressions, up to the rounding of sums.

x: [n, *space, c], k: [*taps, i, o], y: [n, *out, o]; `x_t` is the padded x, shifted by tap t, every stride-th entry.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

if TYPE_CHECKING:
    from jaxtyping import Array, Float


_ENTRIES, _OUTPUTS = 2**19, 64  # of an example's X at most, and of y's channels at least, in a derivative


class Window(NamedTuple):
    """Which entries of a picture meet which tap of the kernel, and how products are summed, as XLA says it."""

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    precision: Any
    dtype: Any

    def out(self, x: Sequence[int], taps: Sequence[int]) -> tuple[int, ...]:
        """How many entries of y are along each axis of space, of which x has so many."""
        sizes = zip(x, self.padding, taps, self.dilation, self.strides, strict=True)
        return tuple((n + sum(pad) - (t - 1) * d - 1) // stride + 1 for n, pad, t, d, stride in sizes)

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


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def dense(window: Window, x: Float[Array, "n *space c"], k: Float[Array, "*taps c o"]) -> Float[Array, "n *out o"]:
    """`y = sum_t x_t k_t`: the convolution in the one layout that XLA is fast at inside of loops, 5 to 50 times.

    Outside, it brings all to this layout by itself. JAX would differentiate by x with another layout of the kernel.
    """
    return _convolution(window, closed(x), k, (k.ndim - 1, k.ndim - 2))


@functools.partial(dense.defjvp, symbolic_zeros=True)
def _(window: Window, primals: Any, tangents: Any) -> tuple[Any, Any]:
    return dense(window, *primals), tangent(window, primals, tangents)


def tangent(window: Window, primals: Any, tangents: Any) -> Any:
    """A convolution's, of which not both are SymbolicZero, as XLA is fast at it and at its transpose."""
    (x, k), (dx, dk) = primals, tangents
    terms = []
    if not isinstance(dx, SymbolicZero) and _small(window, x, k):
        terms.append(unfolded(window, dx, k))
    elif not isinstance(dx, SymbolicZero):  # the transpose of this has its kernel in the fast layout
        n = k.ndim
        terms.append(_convolution(window, dx, jnp.swapaxes(k, n - 1, n - 2), (n - 2, n - 1)))
    if not isinstance(dk, SymbolicZero):
        terms.append(dense(window, x, dk))
    return functools.reduce(lax.add, terms)


def _small(window: Window, x: Any, k: Any) -> bool:
    # Where y's slope times k, which is then cut apart, takes less than a convolution of short rows, or of rows with
    # zeros between them: of a small map with many outputs.
    if not all(isinstance(n, int) for n in x.shape[1:]) or k.shape[-1] < _OUTPUTS:
        return False
    return math.prod((*window.out(x.shape[1:-1], k.shape[:-2]), *k.shape[:-1])) <= _ENTRIES


def _convolution(window: Window, x: Any, k: Any, outputs_and_inputs: tuple[int, int]) -> Any:
    n = x.ndim
    if min(itertools.chain(*window.padding)) < 0:  # XLA's CPU backend reads beyond the picture then
        x, window = window.pad(x), window._replace(padding=((0, 0),) * (n - 2))
    image, kernel = (0, n - 1, *range(1, n - 1)), (*outputs_and_inputs, *range(n - 2))
    return lax.conv_general_dilated(
        x,
        k,
        window.strides,
        window.padding,
        rhs_dilation=window.dilation,
        dimension_numbers=lax.ConvDimensionNumbers(image, kernel, image),
        precision=window.precision,
        preferred_element_type=window.dtype,
    )


@jax.custom_jvp
def closed(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x itself, computed before what uses it: nothing lies outside of these bounds, which XLA does not know.

    Else its CPU backend moves up to half of what computes x, be it ReLU, GELU or the sum of a depthwise convolution,
    into the loops of the product, convolution, pooling or sum that follows, and stores all that is read there,
    broadcast constants too.
    """
    inf = jnp.array(jnp.inf, x.dtype)
    return lax.clamp(-inf, x, inf)


@closed.defjvp
def _(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    return closed(*primals), tangents[0]


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
    return closed(functools.reduce(lax.add, terms)).astype(out)


def pointwise(window: Window, x: Float[Array, "n *space c"], k: Float[Array, "*ones c o"]) -> Float[Array, "n *out o"]:
    """`y = x k`, a matrix product, at every stride-th entry."""
    ((_, x),) = window.shifts(x, k.shape[:-2])
    return _product(window, x, k)


def tiles(window: Window, x: Float[Array, "n *space c"], k: Float[Array, "*taps c o"]) -> Float[Array, "n *out o"]:
    """`y = X k`, where windows neither overlap nor leave gaps: each is a row of X as it lies there."""
    taps, out = k.shape[:-2], [n // t for n, t in zip(x.shape[1:-1], k.shape[:-2], strict=True)]
    cut = [slice(n * t) for n, t in zip(out, taps, strict=True)]
    apart = x[:, *cut].reshape(len(x), *itertools.chain(*zip(out, taps, strict=True)), x.shape[-1])
    axes = 2 * len(taps)
    rows = jnp.transpose(apart, (0, *range(1, axes, 2), *range(2, axes + 1, 2), axes + 1))
    return _product(window, rows.reshape(len(x), *out, -1), k)


def unfolded(window: Window, x: Float[Array, "n *space c"], k: Float[Array, "*taps c o"]) -> Float[Array, "n *out o"]:
    """`y = X k`, with all `x_t` side by side in X: for so few channels that X is small."""
    shifted = [one for _, one in window.shifts(x, k.shape[:-2])]
    return _product(window, jnp.concatenate(shifted, -1), k)


def _product(window: Window, rows: Any, k: Any) -> Any:
    dims = (((rows.ndim - 1,), (0,)), ((), ()))
    k = k.reshape(-1, k.shape[-1])
    return lax.dot_general(rows, k, dims, precision=window.precision, preferred_element_type=window.dtype)
