"""Convolutions of few outputs in a row, as XLA's CPU backend computes them on all cores.

It divides a convolution's work among cores along one row of one example's map and along its channels, and nothing else:
not along the rows, nor the batch. So what a row holds too little of for two, one core computes alone, however large the
batch. Strips of the maps, of a few rows each, are laid side by side here, so that a row of all of them is long enough:

    x: the strips of the padded maps, as one map of [rows of a strip, strips * columns];  y: its convolution, cut apart.

What lies at a strip's end and the next one's beginning meets the same taps; these columns of y are left out.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from camjax._cores import cores
from camjax.trace._cpu_kernels import Window, dense, tangent

if TYPE_CHECKING:
    from jaxtyping import Array, Float

# What one core takes at least, as measured, and as YNNPACK, the library beneath, divides a product:
_BLOCK = 64  # columns, and channels, and ...
_TASK = 2**16  # ... (columns + channels) * products of an entry,
_LONG = 2**10  # of which so many count.
_SHORT = 64  # products of an entry, of less than which moving what it is made of takes longer
_ALL = 2e7  # products of the whole convolution, of less than which two cores are no faster
_ROWS = 4  # of a strip, at least: strips overlap


def convolve(window: Window, x: Float[Array, "n *space c"], k: Float[Array, "*taps c o"]) -> Float[Array, "n *out o"]:
    """`y = sum_t x_t k_t`, in strips side by side where one core would compute it alone."""
    return _wide(window, x, k) if _by_one_core(window, x, k) else dense(window, x, k)


def _by_one_core(window: Window, x: Any, k: Any) -> bool:
    if k.ndim != 4 or not all(isinstance(n, int) for n in x.shape) or {x.dtype, k.dtype} != {jnp.dtype("float32")}:
        return False
    rows, columns = _out(window, x, k)
    each, outputs = math.prod(k.shape[:-1]), k.shape[-1]
    block = max(columns, outputs) <= _BLOCK or (columns + outputs) * min(each, _LONG) < 1.5 * _TASK
    return cores() > 1 and block and each >= _SHORT and len(x) * rows * columns * outputs * each >= _ALL


def _out(window: Window, x: Any, k: Any) -> tuple[int, int]:
    sizes = zip(x.shape[1:-1], window.padding, k.shape, window.dilation, window.strides, strict=False)
    rows, columns = ((n + sum(pad) - (taps - 1) * d - 1) // stride + 1 for n, pad, taps, d, stride in sizes)
    return rows, columns


def _strips(batch: int, rows: int, columns: int, k: Any) -> int:
    # Of each example: as many as make a row that is a task for each core.
    each, outputs = math.prod(k.shape[:-1]), k.shape[-1]
    least = max(_BLOCK, _TASK // min(each, _LONG) - outputs)
    task = 1 << (least - 1).bit_length()
    return max(1, min(cores() * task // (batch * columns), rows // _ROWS))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _wide(window: Window, x: Any, k: Any) -> Any:
    (down, across), (taps, _) = window.strides, k.shape[:2]
    (top, _), (left, right) = window.padding
    rows, columns = _out(window, x, k)
    batch, height, width, channels = x.shape
    own = -(-(width + left + right) // across)  # columns of y that a strip takes, ends included
    out = -(-rows // _strips(batch, rows, own, k))  # rows of y in a strip
    strips = -(-rows // out)
    high = (out - 1) * down + (taps - 1) * window.dilation[0] + 1
    last = (strips - 1) * out * down + high
    wide = [(0, 0, 0), (top, last - height - top, 0), (left, own * across - width - left, 0), (0, 0, 0)]
    x = lax.pad(x, jnp.zeros((), x.dtype), wide)
    parts = jnp.stack([x[:, i * out * down : i * out * down + high] for i in range(strips)])
    beside = jnp.transpose(parts, (2, 0, 1, 3, 4)).reshape(1, high, -1, channels)
    reach = (k.shape[1] - 1) * window.dilation[1]
    y = dense(window._replace(padding=((0, 0), (0, reach))), beside, k)
    apart = y.reshape(out, strips, batch, own, -1)[:, :, :, :columns]
    return jnp.transpose(apart, (2, 1, 0, 3, 4)).reshape(batch, strips * out, columns, -1)[:, :rows]


@functools.partial(_wide.defjvp, symbolic_zeros=True)
def _(window: Window, primals: Any, tangents: Sequence[Any]) -> tuple[Any, Any]:
    return _wide(window, *primals), tangent(window, primals, tangents)
