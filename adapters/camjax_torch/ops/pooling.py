"""Pooling of images [batch, channel, *space], with torch's own windows."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jax import lax

from camjax_torch.ops._table import op
from camjax_torch.ops.convolution import per_axis

Axes = tuple[int, ...]


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
    kernel = per_axis(kernel_size, axes)
    return (
        kernel,
        per_axis(stride, axes) if stride else kernel,
        per_axis(padding, axes),
        per_axis(dilation, axes),
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
