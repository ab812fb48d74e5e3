"""Convolution and pooling. Images: [batch, channel, *space]; kernels in Flax layout, [*space, in, out]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np
from jax import lax

from camjax_torch.ops._table import op

if TYPE_CHECKING:
    from jaxtyping import Array, Float

Size = int | Sequence[int]
Axes = tuple[int, ...]


def _per_axis(value: Size, axes: int) -> tuple[int, ...]:
    """Torch's shorthand: one number stands for every space axis, so does a sequence of one."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def _dimension_numbers(axes: int) -> tuple[str, str, str]:
    space = "DHW"[-axes:]
    return f"NC{space}", f"{space}IO", f"NC{space}"


def _add_bias(y: Float[Array, "..."], bias: Float[Array, " c"] | None) -> Float[Array, "..."]:
    return y if bias is None else y + bias.reshape(-1, *(1,) * (y.ndim - 2))


@op("conv1d.default", "conv2d.default", "conv3d.default")
def conv(
    x: Float[Array, "b c *space"],
    kernel: Float[Array, "*k i o"],
    bias: Float[Array, " o"] | None = None,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Float[Array, "b o *out"]:
    """Cross-correlation of an image with `kernel`, zeros around it."""
    axes = kernel.ndim - 2
    pad = _per_axis(padding, axes)
    y = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=_per_axis(stride, axes),
        padding=[(p, p) for p in pad],
        rhs_dilation=_per_axis(dilation, axes),
        dimension_numbers=_dimension_numbers(axes),
        feature_group_count=groups,
    )
    return _add_bias(y, bias)


@op("conv1d.padding", "conv2d.padding", "conv3d.padding")
def conv_same(x, kernel, bias=None, stride=1, padding="valid", dilation=1, groups=1):
    """`conv` with its padding in words: `"valid"`, or `"same"` (an odd remainder goes to the end)."""
    axes = kernel.ndim - 2
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(_per_axis(dilation, axes), kernel.shape[:axes], strict=True)]
        x = jnp.pad(x, [(0, 0), (0, 0), *((t // 2, t - t // 2) for t in total)])
    return conv(x, kernel, bias, stride, 0, dilation, groups)


@op("convolution.default")
def convolution(x, kernel, bias, stride, padding, dilation, transposed, output_padding, groups):
    """The operation that every torch convolution decomposes into."""
    if transposed:
        return conv_transpose(x, kernel, bias, stride, padding, output_padding, groups, dilation)
    return conv(x, kernel, bias, stride, padding, dilation, groups)


@op("conv_transpose1d.default", "conv_transpose2d.input", "conv_transpose3d.input")
def conv_transpose(x, kernel, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of `conv` (its gradient): the image is dilated by `stride`, the kernel turned round.

    `kernel` is torch's [in, out / groups, *space] with the space axes brought to the front: [*space, in,
    out / groups].
    """
    axes = kernel.ndim - 2
    stride, pad, extra, dilation = (_per_axis(v, axes) for v in (stride, padding, output_padding, dilation))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel.shape[:axes], strict=True)]
    # [*space, groups * i, o] -> [*space, i, groups * o]: XLA takes the groups from the outputs
    split = kernel.reshape(*kernel.shape[:axes], groups, -1, kernel.shape[-1])
    grouped = jnp.moveaxis(split, axes, -2).reshape(*kernel.shape[:axes], split.shape[axes + 1], -1)
    y = lax.conv_general_dilated(
        x,
        jnp.flip(grouped, tuple(range(axes))),
        window_strides=(1,) * axes,
        padding=[(r - p, r - p + e) for r, p, e in zip(reach, pad, extra, strict=True)],
        lhs_dilation=stride,
        rhs_dilation=dilation,
        dimension_numbers=_dimension_numbers(axes),
        feature_group_count=groups,
    )
    return _add_bias(y, bias)


def _window_padding(
    space: Axes, kernel: Axes, stride: Axes, padding: Axes, dilation: Axes, ceil_mode: bool
) -> list[tuple[int, int]]:
    """(before, after) per space axis such that the windows are those of torch, `ceil_mode` included."""
    result = []
    for size, k, s, p, d in zip(space, kernel, stride, padding, dilation, strict=True):
        room = size + 2 * p - d * (k - 1) - 1
        windows = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (windows - 1) * s >= size + p:
            windows -= 1  # a window that starts in the padding behind the image is dropped
        result.append((p, max((windows - 1) * s + d * (k - 1) + 1 - size - p, 0)))
    return result


def _windows(ndim: int, kernel_size, stride, padding, dilation) -> tuple[tuple[int, ...], ...]:
    """Kernel, stride (the kernel, where none is given), padding and dilation for each space axis."""
    axes = ndim - 2
    kernel = _per_axis(kernel_size, axes)
    return (
        kernel,
        _per_axis(stride, axes) if stride else kernel,
        _per_axis(padding, axes),
        _per_axis(dilation, axes),
    )


def _pool(x, init, reduce, kernel_size, stride, padding, dilation, ceil_mode):
    """Reduce every window of the space axes, padded with `init`."""
    kernel, stride, padding, dilation = _windows(x.ndim, kernel_size, stride, padding, dilation)
    pads = _window_padding(x.shape[2:], kernel, stride, padding, dilation, ceil_mode)
    return lax.reduce_window(
        x,
        init,
        reduce,
        (1, 1, *kernel),
        (1, 1, *stride),
        [(0, 0), (0, 0), *pads],
        window_dilation=(1, 1, *dilation),
    )


@op("max_pool1d.default", "max_pool2d.default", "max_pool3d.default")
def max_pool(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """The largest value of each window; the padding never wins."""
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    y = _pool(x, np.asarray(lowest, x.dtype), lax.max, kernel_size, stride, padding, dilation, ceil_mode)
    # XLA's CPU backend fuses the windows into a small matrix product that follows and computes each of them
    # once per output column: VGG's head ran 20 times slower
    return lax.optimization_barrier(y)


@op("max_pool2d_with_indices.default", "max_pool3d_with_indices.default")
def max_pool_with_indices(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
    """`max_pool`; the indices, which only a max-unpooling reads, are not computed."""
    return max_pool(x, kernel_size, stride, padding, dilation, ceil_mode), None


@op("avg_pool1d.default", "avg_pool2d.default", "avg_pool3d.default")
def avg_pool(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    """The mean of each window, over what torch counts as its elements."""
    total = _pool(x, np.asarray(0, x.dtype), lax.add, kernel_size, stride, padding, 1, ceil_mode)
    count = divisor_override or _counts(x.shape, kernel_size, stride, padding, ceil_mode, count_include_pad)
    return total / jnp.asarray(count, x.dtype)


def _counts(shape, kernel_size, stride, padding, ceil_mode, include_pad) -> np.ndarray:
    """How many elements torch counts in each window, [*windows]: an outer product over the space axes.

    With `include_pad` the given padding counts, what `ceil_mode` adds behind it does not.
    """
    kernel, stride, padding, _ = _windows(len(shape), kernel_size, stride, padding, 1)
    axes = len(kernel)
    space = shape[-axes:]
    grids = _window_padding(space, kernel, stride, padding, (1,) * axes, ceil_mode)
    result = np.ones((1,) * axes)
    for axis, (size, k, s, p, (before, after)) in enumerate(zip(space, kernel, stride, padding, grids, strict=True)):
        start = np.arange(-before, size + after - k + 1, s)
        low, high = (-p, size + p) if include_pad else (0, size)
        count = np.minimum(start + k, high) - np.maximum(start, low)
        result = result * count.reshape([-1 if a == axis else 1 for a in range(axes)])
    return result


def _bins(size: int, out: int) -> np.ndarray:
    """Row o averages the o-th of the `out` bins of adaptive pooling over `size` elements, [out, size]."""
    matrix = np.zeros((out, size), np.float32)
    for o in range(out):
        start, stop = o * size // out, math.ceil((o + 1) * size / out)
        matrix[o, start:stop] = 1 / (stop - start)
    return matrix


@op("adaptive_avg_pool1d.default", "adaptive_avg_pool2d.default", "_adaptive_avg_pool2d.default",
    "adaptive_avg_pool3d.default", "_adaptive_avg_pool3d.default")  # fmt: skip
def adaptive_avg_pool(x, output_size):
    """The mean of each of `output_size` nearly equal bins."""
    axes = len(output_size)
    lead = x.ndim - axes
    sizes = [s if o is None else o for o, s in zip(output_size, x.shape[lead:], strict=True)]
    if all(o == 1 for o in sizes):
        return x.mean(tuple(range(lead, x.ndim)), keepdims=True)
    for axis, out in enumerate(sizes, start=lead):
        size = x.shape[axis]
        if out == size:
            continue
        if size % out == 0:
            k = [size // out if a == axis else 1 for a in range(x.ndim)]
            x = lax.reduce_window(x, np.asarray(0, x.dtype), lax.add, k, k, "VALID") / k[axis]
        else:
            matrix = jnp.asarray(_bins(size, out), x.dtype)
            x = jnp.moveaxis(jnp.tensordot(x, matrix, (axis, 1)), -1, axis)
    return x


@op("adaptive_max_pool1d.default", "adaptive_max_pool2d.default", "adaptive_max_pool3d.default")
def adaptive_max_pool(x, output_size):
    """The largest value of each of `output_size` nearly equal bins (and a place for the indices)."""
    lead = x.ndim - len(output_size)
    for axis, out in enumerate(output_size, start=lead):
        size = x.shape[axis]
        bins = [
            lax.slice_in_dim(x, o * size // out, math.ceil((o + 1) * size / out), axis=axis).max(axis, keepdims=True)
            for o in range(out)
        ]
        x = jnp.concatenate(bins, axis)
    return x, None
