"""3x3 convolutions with 16 products for every 36: F(2x2, 3x3) of Lavin and Gray (2016), with the channels last.

    y = A' [ (G k G') (B' x B) ] A,   where the product of the brackets is taken over channels, and
    B' v = (v0 - v2, v1 + v2, v2 - v1, v1 - v3),   A' v = (v0 + v1 + v2, v1 - v2 - v3),
    G v = (v0, (v0 + v1 + v2) / 2, (v0 - v1 + v2) / 2, v2)

x: the 4x4 tiles of the padded picture, every other row and column; y: the 2x2 tiles of the result. Their 16 entries are
arrays of their own, so that each is one matrix product over all tiles. (XLA's one product of 16 in a batch is slower
than the convolution.) A zero that is a sum of others is zero up to their rounding, and a NaN or infinity makes its
whole tile NaN (in a weight, its whole channel).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from camjax.trace._cpu_kernels import Window, closed, dense, tangent

if TYPE_CHECKING:
    from jaxtyping import Array, Float

_TILES = 128


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def winograd(window: Window, x: Float[Array, "n h w c"], k: Float[Array, "3 3 c o"]) -> Float[Array, "n y x o"]:
    """`y = sum_t x_t k_t` at every position. Its derivative is the convolution's own.

    Few tiles do not repay what transforming the weights takes: of fewer than 128 in the whole batch, whether it is an
    axis or mapped, it is a convolution. So it is for weights of each example's own, and for a batch of unknown size.
    """

    @jax.custom_batching.custom_vmap
    def of(x: Any, k: Any) -> Any:
        tiles = x.shape[0] * math.prod(_grid(window, x))
        few = not isinstance(tiles, int) or tiles < _TILES
        return dense(window, x, k) if few else _in_tiles(window, x, k)

    @of.def_vmap
    def _(size: Any, mapped: Sequence[bool], x: Any, k: Any) -> tuple[Any, bool]:
        if mapped[1]:
            return jax.vmap(functools.partial(dense, window), [0 if one else None for one in mapped])(x, k), True
        y = of(x.reshape(-1, *x.shape[2:]), k)
        return y.reshape(*x.shape[:2], *y.shape[1:]), True

    return of(x, k)


@functools.partial(winograd.defjvp, symbolic_zeros=True)
def _(window: Window, primals: Any, tangents: Any) -> tuple[Any, Any]:
    return winograd(window, *primals), tangent(window, primals, tangents)


def _in_tiles(window: Window, x: Any, k: Any) -> Any:
    rows, columns = _grid(window, x)
    x = window.pad(x)
    height, width = x.shape[1] - 2, x.shape[2] - 2
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (0, height % 2, 0), (0, width % 2, 0), (0, 0, 0)])
    x = lax.optimization_barrier(x)  # else each tile's entry is padded by itself
    tiles = [[x[:, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2] for j in range(4)] for i in range(4)]
    weights = [closed(u) for u in _weights(k)]  # else a loop cuts them out of one array in each of its rounds
    products = [
        [_product(window, v, weights[4 * i + j]) for j, v in enumerate(row)] for i, row in enumerate(_both(_b, tiles))
    ]
    by_row = [_beside(row, 3) for row in _both(_a, products)]
    return _beside(by_row, 2)[:, :height, :width]


def _grid(window: Window, x: Any) -> tuple[int, int]:
    # Rows and columns of tiles.
    rows, columns = (-(-n // 2) for n in window.out(x.shape[1:3], (3, 3)))
    return rows, columns


def _beside(entries: Sequence[Any], axis: int) -> Any:
    # Alternating along the axis in front of `axis`.
    apart = jnp.stack(entries, axis)
    return apart.reshape(*apart.shape[: axis - 1], -1, *apart.shape[axis + 1 :])


_Transform = Callable[[Sequence[Any]], list[Any]]


def _both(transform: _Transform, entries: Sequence[Sequence[Any]]) -> list[list[Any]]:
    # Along the rows of a tile and along its columns.
    across = [transform(row) for row in entries]
    return [list(row) for row in zip(*(transform(column) for column in zip(*across, strict=True)), strict=True)]


def _b(v: Sequence[Any]) -> list[Any]:
    return [v[0] - v[2], v[1] + v[2], v[2] - v[1], v[1] - v[3]]


def _weights(k: Any) -> Any:
    # One product: 16 sums would each read all of k, which may lie with its taps last.
    g = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
    both = jnp.asarray(np.einsum("ai,bj->abij", g, g).reshape(16, 9), k.dtype)
    return (both @ k.reshape(9, -1)).reshape(16, *k.shape[2:])


def _a(v: Sequence[Any]) -> list[Any]:
    return [v[0] + v[1] + v[2], v[1] - v[2] - v[3]]


def _product(window: Window, v: Any, u: Any) -> Any:
    dims = (((v.ndim - 1,), (0,)), ((), ()))
    return lax.dot_general(v, u, dims, precision=window.precision, preferred_element_type=window.dtype)
