"""Heat over a picture."""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

MAX_ALPHA = 0.8


def overlay(
    image: UInt8[np.ndarray, "height width 3"],
    heatmap: Float[np.ndarray, "h w"],
    *,
    alpha: float = 0.65,
    colormap: str = "inferno",
    grey: bool = True,
) -> UInt8[np.ndarray, "height width 3"]:
    """A heatmap over its picture, which stays visible everywhere.

    Each pixel is `(1 - a) * picture + a * colour(heat)` with `a = alpha * heat ** 0.7`: where there is
    no heat the picture is untouched, and where the heat is 1 its contrast is still `1 - alpha` of
    what it was. The picture is made grey first, so that every colour means heat.

    Args:
        image: `[height, width, 3]` uint8.
        heatmap: `[h, w]` in 0..1, of the picture's shape at any resolution (a 7x7 map lies on its
            224x224 picture); interpolated bilinearly.
        alpha: how much of the picture the strongest heat covers, 0 to 0.8.
        colormap: one of matplotlib's; the default is perceptually uniform.
        grey: False keeps the picture's own colours.

    Returns:
        `[height, width, 3]` uint8.

    Raises:
        ValueError: an array is not as described, the heatmap has another shape than the picture,
            alpha is out of range, or matplotlib knows no such colormap.

    Example:
        >>> picture = np.full((4, 4, 3), 100, np.uint8)
        >>> heat = np.zeros((4, 4)); heat[0, 0] = 1
        >>> overlay(picture, heat)[:2, 0].tolist()
        [[199, 201, 142], [100, 100, 100]]
    """
    heat = _fit(check_heatmap(heatmap), *check_image(image).shape[:2])
    if not 0 <= alpha <= MAX_ALPHA:
        raise ValueError(f"alpha: got {alpha}, expected 0 to {MAX_ALPHA}, so that the picture stays visible.")
    base = image.astype(np.float64)
    if grey:
        base = (base @ np.array([0.299, 0.587, 0.114]))[..., None]  # luminance, ITU-R BT.601
    a = alpha * heat[..., None] ** 0.7
    return np.rint((1 - a) * base + a * colorize(heat, colormap)).astype(np.uint8)


def colorize(heatmap: Float[np.ndarray, "h w"], colormap: str = "inferno") -> UInt8[np.ndarray, "h w 3"]:
    """A heatmap in 0..1 as the colours of a colormap, without a picture.

    Raises:
        ValueError: the heatmap is not finite in 0..1, or matplotlib knows no such colormap.

    Example:
        >>> colorize(np.array([[0.0, 1.0]]), "gray").tolist()
        [[[0, 0, 0], [255, 255, 255]]]
    """
    return _table(colormap)[np.rint(check_heatmap(heatmap) * 255).astype(int)]


@cache
def _table(colormap: str) -> UInt8[np.ndarray, "256 3"]:
    import matplotlib

    if colormap not in matplotlib.colormaps:
        close = difflib.get_close_matches(colormap, list(matplotlib.colormaps)) or ["inferno", "viridis"]
        raise ValueError(f"colormap: matplotlib has no {colormap!r}; did you mean {' or '.join(close)}?")
    table = matplotlib.colormaps[colormap](np.linspace(0, 1, 256))[:, :3]
    return np.rint(table * 255).astype(np.uint8)


def check_image(image: np.ndarray) -> np.ndarray:
    """The picture itself, if it is 8-bit RGB."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"image: got {image.dtype} {list(image.shape)}, expected uint8 [height, width, 3].")
    return image


def check_heatmap(heatmap: Any) -> np.ndarray:
    """One map in 0..1, as float64; rounding beyond these limits is clipped."""
    heat = np.asarray(heatmap).astype(np.float64)
    if heat.ndim != 2 or 0 in heat.shape:
        raise ValueError(f"heatmap: got shape {list(heat.shape)}, expected [h, w] of one picture and target.")
    if not np.isfinite(heat).all() or heat.min() < -1e-4 or heat.max() > 1 + 1e-4:
        raise ValueError(
            f"heatmap: got values {heat.min():.3g} to {heat.max():.3g}, expected finite ones in 0..1; "
            "camjax.explain(..., normalize='max') makes them so."
        )
    return heat.clip(0, 1)


def _fit(heat: np.ndarray, height: int, width: int) -> np.ndarray:
    from PIL import Image

    down, across = height / heat.shape[0], width / heat.shape[1]
    # A coarse map may be off by one cell per axis, from the rounding of strides, but not more.
    if abs(down - across) > max(down / heat.shape[0], across / heat.shape[1]):
        raise ValueError(
            f"heatmap: its shape {heat.shape[0]}x{heat.shape[1]} is not that of the picture, "
            f"{height}x{width}; give the part that the model saw (camjax.images.preprocess returns it)."
        )
    if heat.shape == (height, width):
        return heat
    resized = Image.fromarray(heat.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float64).clip(0, 1)
