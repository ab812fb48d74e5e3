"""Convolutions of short rows, as XLA's CPU backend computes them on all cores.

YNNPACK, the library beneath it, cuts what cores share along one row of one example's map and along the outputs, and
nowhere else: not along the rows, nor the batch. So one core alone computes a convolution whose row is a single task,
however large the batch. Here strips of the padded map, of a few rows each, are laid side by side, so that a row of all
of them is a task for each core:

    x: [high, strips * own, c], of strips of `high` rows and `own` columns;  y: its convolution, cut apart.

The columns of y in which taps meet two strips are left out.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from camjax._cores import cores
from camjax.trace._cpu_kernels import Window, dense, tangent

if TYPE_CHECKING:
    from jaxtyping import Array, Float

# A task, as measured, and as YNNPACK has it in `subgraph/dot.cc`: a block of columns and outputs that is doubled until
_SIDE = 64  # it has so many squared, or as many as there are, and
_COST = 2**16  # (columns + outputs) * the products of an entry, at most ...
_LONG = 2**10  # ... so many of them, is at least this.
_LEAST_EACH = 64  # products of an entry; of fewer, moving what is multiplied takes longer than it saves
_LEAST_PRODUCTS = 2e7  # of an example; two cores compute fewer no faster
_LEAST_ROWS = 4  # of y in a strip: two strips that meet both have the rows of x in between
_GAIN = 0.75  # the share of the time that is worth it, and
_NEAR = 1.1  # how near the least time is near enough, as strips overlap


def convolve(window: Window, x: Float[Array, "n *space c"], k: Float[Array, "*taps c o"]) -> Float[Array, "n *out o"]:
    """`y = sum_t x_t k_t`, in strips side by side where one core would compute it alone."""
    strips = _strips(window, x, k)
    return dense(window, x, k) if strips == 1 else _wide(window, strips, x, k)


def _strips(window: Window, x: Any, k: Any) -> int:
    # As few as take about the least time; 1: as it is.
    if k.ndim != 4 or {x.dtype, k.dtype} != {jnp.dtype("float32")} or not all(isinstance(n, int) for n in x.shape[1:]):
        return 1
    each, outputs = math.prod(k.shape[:-1]), k.shape[-1]
    rows, columns, own = _sizes(window, x, k)
    if cores() == 1 or each < _LEAST_EACH or rows * columns * outputs * each < _LEAST_PRODUCTS:
        return 1

    def time(strips: int, own: int) -> int:
        wide, deep = _task(strips * own, outputs, each)
        tasks = -(-strips * own // wide) * -(-outputs // deep)
        return -(-rows // strips) * -(-tasks // cores()) * wide * deep

    least = max(_LEAST_ROWS, (k.shape[0] - 1) * window.dilation[0] // window.strides[0])
    times = {strips: time(strips, own) for strips in range(2, rows // least + 1)}
    enough = min(_NEAR * min(times.values(), default=math.inf), _GAIN * time(1, columns))
    return next((strips for strips in times if times[strips] <= enough), 1)


def _task(columns: int, outputs: int, each: int) -> tuple[int, int]:
    # The columns and outputs of one.
    wide, deep = min(columns, 16), min(outputs, _SIDE)
    area = min(columns, _SIDE) * min(outputs, _SIDE)
    while (wide, deep) != (columns, outputs) and (wide * deep < area or (wide + deep) * min(each, _LONG) < _COST):
        if wide < columns and (wide < 4 * deep or deep == outputs):
            wide = min(2 * wide, columns)
        else:
            deep = min(2 * deep, outputs)
    return wide, deep


def _sizes(window: Window, x: Any, k: Any) -> tuple[int, int, int]:
    # Rows and columns of y, and columns of y that a strip takes, the last ones of which are left out.
    rows, columns = window.out(x.shape[1:-1], k.shape[:-2])
    return rows, columns, -(-(x.shape[2] + sum(window.padding[1])) // window.strides[1])


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _wide(window: Window, strips: int, x: Any, k: Any) -> Any:
    (down, across), ((top, _), (left, _)) = window.strides, window.padding
    reach, beyond = ((taps - 1) * d for taps, d in zip(k.shape[:2], window.dilation, strict=True))
    rows, columns, own = _sizes(window, x, k)
    batch, height, width, channels = x.shape
    each = -(-rows // strips)  # rows of y in a strip
    strips = -(-rows // each)
    high = (each - 1) * down + reach + 1
    last = (strips - 1) * each * down + high
    edges = [(0, 0, 0), (top, last - height - top, 0), (left, own * across - width - left, 0), (0, 0, 0)]
    x = lax.pad(x, jnp.zeros((), x.dtype), edges)
    beside = jnp.stack([x[:, i * each * down : i * each * down + high] for i in range(strips)], 2)
    beside = beside.reshape(batch, high, strips * own * across, channels)
    y = dense(window._replace(padding=((0, 0), (0, beyond))), beside, k)
    apart = jnp.swapaxes(y.reshape(batch, each, strips, own, -1)[:, :, :, :columns], 1, 2)
    return apart.reshape(batch, strips * each, columns, -1)[:, :rows]


@functools.partial(_wide.defjvp, symbolic_zeros=True)
def _(window: Window, strips: int, primals: Any, tangents: Any) -> tuple[Any, Any]:
    return _wide(window, strips, *primals), tangent(window, primals, tangents)
