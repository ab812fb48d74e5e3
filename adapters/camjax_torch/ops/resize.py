"""Resizing of images [batch, channel, *space], with torch's own sample positions."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from camjax_torch.ops._table import op


def _output_sizes(space: Sequence[int], output_size, factors) -> tuple[int, ...]:
    if output_size is not None:
        return tuple(output_size)
    return tuple(int(np.floor(s * f)) for s, f in zip(space, factors, strict=True))


def _positions(size: int, out: int, align_corners: bool, factor: float | None) -> np.ndarray:
    """Where each of `out` samples lies on an axis of `size` elements, in elements."""
    index = np.arange(out, dtype=np.float64)
    if align_corners:
        return index * ((size - 1) / (out - 1) if out > 1 else 0.0)
    return (index + 0.5) * (1 / factor if factor else size / out) - 0.5


def _linear_taps(position: np.ndarray, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    position = np.clip(position, 0, None)
    low = np.minimum(position.astype(int), size - 1)
    fraction = np.clip(position - low, 0, 1)
    return [(low, 1 - fraction), (np.minimum(low + 1, size - 1), fraction)]


def _cubic_taps(position: np.ndarray, size: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Keys' cubic convolution with a = -0.75."""
    low = np.floor(position).astype(int)
    t, a = position - low, -0.75

    def near(s):
        return ((a + 2) * s - (a + 3)) * s * s + 1

    def far(s):
        return ((a * s - 5 * a) * s + 8 * a) * s - 4 * a

    weights = [far(t + 1), near(t), near(1 - t), far(2 - t)]
    return [(np.clip(low + i - 1, 0, size - 1), w) for i, w in enumerate(weights)]


def _interpolate(x, taps, output_size, align_corners, factors):
    """One axis after the other: a product with the matrix [out, in] of its taps' weights."""
    factors = factors or [None] * (x.ndim - 2)
    for axis, (out, factor) in enumerate(
        zip(_output_sizes(x.shape[2:], output_size, factors), factors, strict=True), 2
    ):
        size = x.shape[axis]
        matrix = np.zeros((out, size))
        for column, weight in taps(_positions(size, out, align_corners, factor), size):
            np.add.at(matrix, (np.arange(out), column), weight)
        x = jnp.moveaxis(jnp.tensordot(x, jnp.asarray(matrix, x.dtype), (axis, 1)), -1, axis)
    return x


@op("upsample_linear1d.vec", "upsample_bilinear2d.vec", "upsample_trilinear3d.vec")
def upsample_linear(x, output_size, align_corners, scale_factors):
    """Linear interpolation along each axis."""
    return _interpolate(x, _linear_taps, output_size, align_corners, scale_factors)


@op("upsample_bicubic2d.vec")
def upsample_bicubic(x, output_size, align_corners, scale_factors):
    """Cubic interpolation along each axis."""
    return _interpolate(x, _cubic_taps, output_size, align_corners, scale_factors)


@op("upsample_nearest1d.vec", "upsample_nearest2d.vec", "upsample_nearest3d.vec")
def upsample_nearest(x, output_size, scale_factors):
    """The element at the floor of each sample's position."""
    factors = scale_factors or [None] * (x.ndim - 2)
    for axis, (out, factor) in enumerate(
        zip(_output_sizes(x.shape[2:], output_size, factors), factors, strict=True), 2
    ):
        size = x.shape[axis]
        # float32, as torch computes it: the floor depends on it
        scale = np.float32(1 / factor) if factor else np.float32(size) / np.float32(out)
        index = np.minimum((np.arange(out, dtype=np.float32) * scale).astype(int), size - 1)
        x = jnp.take(x, index, axis=axis)
    return x
