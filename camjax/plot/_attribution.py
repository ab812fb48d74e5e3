"""Attributions in input space as pictures: their magnitude, or their signs and colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8


def magnitude(values: Any, *, channel: int | None = -1, percentile: float = 99.0) -> Float[np.ndarray, "h w"]:
    """The magnitude of an attribution at each pixel, as a heatmap in 0..1 for `overlay`, `colorize` or `panel`.

        heat = min(1, sum_c |values| / its percentile)

    A few pixels are always far above the rest; without the percentile they alone would be seen.

    Args:
        values: `[h, w, colours]` of one picture and target, such as `camjax.attribute(...).values[0]`.
        channel: the axis of the colours, 0 for `[colours, h, w]`; None for `[h, w]`.
        percentile: which one becomes 1; 100 is the maximum.

    Raises:
        ValueError: the values are not of one picture, or not finite, or the percentile is not above 0 and up to 100.

    Example:
        >>> magnitude(np.array([[[1.0, -3.0], [0.0, 2.0]]]), percentile=100)
        array([[1. , 0.5]])
    """
    size = np.abs(_checked(values, channel, percentile)).sum(-1)
    return np.minimum(_over(size, percentile), 1)


def relief(values: Any, *, channel: int | None = -1, percentile: float = 99.0) -> UInt8[np.ndarray, "h w 3"]:
    """An attribution as a picture in its own colours, grey where it is zero: how guided gradients are usually shown.

    Each entry is 127.5 (1 + v / percentile of |v|), so brighter means that more of that colour raises the score.

    Args:
        values: as for `magnitude`, with one colour or three.
        channel: see there.
        percentile: see there, of the magnitudes.

    Raises:
        ValueError: as `magnitude`, and for another number of colours.

    Example:
        >>> relief(np.array([[[1.0, -1.0, 0.0]]]), percentile=100).tolist()
        [[[255, 0, 128]]]
    """
    pixels = _checked(values, channel, percentile)
    if pixels.shape[-1] not in (1, 3):
        raise ValueError(
            f"values: got {pixels.shape[-1]} colours in shape {list(np.shape(values))}, expected 1 or 3; say with "
            "channel= which axis they are, or use camjax.plot.magnitude."
        )
    signed = np.clip(_over(pixels, percentile), -1, 1)
    return np.broadcast_to(np.rint(127.5 * (1 + signed)).astype(np.uint8), (*pixels.shape[:2], 3)).copy()


def _over(pixels: np.ndarray, percentile: float) -> np.ndarray:
    size = np.abs(pixels)
    # Where hardly anything is not zero, the percentile is, and the maximum serves.
    top = np.percentile(size, percentile) or size.max()
    return pixels / top if top > 0 else np.zeros_like(pixels)


def _checked(values: Any, channel: int | None, percentile: float) -> np.ndarray:
    pixels = np.asarray(values).astype(np.float64)
    if channel is None:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or 0 in pixels.shape:
        raise ValueError(
            f"values: got shape {list(np.shape(values))}, expected [h, w, colours] of one picture and one target, "
            "for example camjax.attribute(...).values[0]; pass channel=None for [h, w]."
        )
    if not np.isfinite(pixels).all():
        raise ValueError("values: they are not all finite; Attribution.status says which examples are.")
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile: got {percentile}, expected a number above 0 and up to 100.")
    return pixels if channel is None else np.moveaxis(pixels, channel, -1)
