"""A picture and its overlays on one sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from camjax.plot._overlay import check_image, overlay
from camjax.plot._rows import rows
from camjax.plot._sheet import Tile, enlarge, sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, UInt8
    from PIL import Image


def panel(
    image: UInt8[np.ndarray, "height width 3"],
    heatmaps: Any,
    titles: Sequence[str] | None = None,
    captions: Sequence[str] | None = None,
    *,
    title: str = "picture",
    caption: str = "",
    tile: int = 320,
    columns: int = 4,
    alpha: float = 0.65,
    colormap: str = "inferno",
    grey: bool = True,
) -> Image.Image:
    """The picture, one overlay for each target, and a colour bar, on one sheet.

    Args:
        image: `[height, width, 3]` uint8, the part that the model saw (`camjax.images.preprocess`).
        heatmaps: `[K, h, w]` or `[h, w]` in 0..1, or the `camjax.Explanation` of this one picture.
        titles: a name for each heatmap; of an Explanation, the class indices by default.
        captions: a second, smaller line for each; of an Explanation, the scores by default.
        title, caption: the same for the picture itself. Text that is too long ends in an ellipsis.
        tile: the longer side of each picture on the sheet, in pixels.
        columns: how many tiles stand in a row at most.
        alpha, colormap, grey: as for `overlay`.

    Returns:
        A `PIL.Image.Image`, RGB; `.save("panel.png")` writes it.

    Raises:
        ValueError: as `overlay`; or the texts are not as many as the heatmaps, or the Explanation is
            that of several pictures.

    Example:
        >>> picture = np.full((64, 64, 3), 90, np.uint8)
        >>> panel(picture, np.eye(8)[None], ["a diagonal"], tile=128).mode
        'RGB'
    """
    if hasattr(heatmaps, "heatmap"):
        maps, names, scores = _of_explanation(heatmaps)
        titles, captions = titles or names, captions or scores
    else:
        maps = np.asarray(heatmaps)
        maps = maps[None] if maps.ndim == 2 else maps
    titles = titles if titles is not None else [""] * len(maps)
    captions = captions if captions is not None else [""] * len(maps)
    for name, words in (("titles", titles), ("captions", captions)):
        if len(words) != len(maps):
            raise ValueError(f"{name}: got {len(words)}, expected one for each of the {len(maps)} heatmaps.")
    picture = enlarge(check_image(image), tile)

    def heated(base: np.ndarray, heat: np.ndarray) -> np.ndarray:
        return overlay(base, heat, alpha=alpha, colormap=colormap, grey=grey)

    tiles = [Tile(picture, title, caption)]
    tiles += [Tile(heated(picture, h), t, c) for h, t, c in zip(maps, titles, captions, strict=True)]
    lines = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    return sheet(lines, bar=heated(*ramp(picture.shape[0])))


def ramp(height: int) -> tuple[UInt8[np.ndarray, "height 24 3"], Float[np.ndarray, "height 24"]]:
    """Picture and heat of a colour bar: it lies over greys, as heat lies over the dark and light of a picture."""
    greys = np.broadcast_to(np.linspace(40, 215, 24)[None, :, None], (height, 24, 3)).astype(np.uint8)
    return greys, np.repeat(np.linspace(1, 0, height)[:, None], 24, 1)


def _of_explanation(explanation: Any) -> tuple[np.ndarray, list[str], list[str]]:
    if explanation.heatmap is None:
        raise ValueError("heatmaps: the Explanation has none (size=None); ask for size='input'.")
    maps, titles, captions = rows(explanation)
    if len(maps) != 1:
        raise ValueError(
            f"heatmaps: the Explanation is that of {len(maps)} pictures; choose one, for example "
            "jax.tree.map(lambda leaf: leaf[:1], explanation)."
        )
    return maps[0], titles[0], captions[0]
