"""Failures side by side: the picture, where the predicted class was seen, and where the true one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from camjax.plot._overlay import check_image, overlay
from camjax.plot._panel import ramp
from camjax.plot._rows import rows
from camjax.plot._sheet import Tile, enlarge, sheet

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from PIL import Image

    from camjax._failures import Failures


def failures(
    images: UInt8[np.ndarray, "N height width 3"],
    found: Failures,
    labels: tuple[str, ...] | list[str] | None = None,
    *,
    most: int = 6,
    tile: int = 240,
    alpha: float = 0.65,
    colormap: str = "inferno",
    grey: bool = True,
) -> Image.Image:
    """A row for each failure: the picture, the map of the predicted class, that of the true one, and what was found.

    Above each map stands whose it is, with the class's probability and score; where the failures have counterfactual
    maps, they stand last.

    Args:
        images: `[N, height, width, 3]` uint8, **all** examples given to `camjax.failures`, as the model saw them
            (`camjax.images.preprocess`); those of `found.examples` are shown.
        found: what `camjax.failures` returned, or some rows of it (`jax.tree.map(lambda leaf: leaf[:3], found)`).
        labels: the names of the classes, such as `model.labels`.
        most: how many failures are drawn at most; a note says how many there are.
        tile: the longer side of each picture on the sheet, in pixels.
        alpha, colormap, grey: as for `overlay`.

    Returns:
        A `PIL.Image.Image`, RGB.

    Raises:
        ValueError: as `overlay`; without failures or heatmaps; when there are fewer images or labels than examples or
            classes.

    Example:
        >>> import camjax
        >>> pair = np.array([[2, 0]])                                     # a heart, taken for a moon
        >>> seen = camjax.Explanation(np.eye(8)[None, None].repeat(2, 1), None, None, pair * 1.0, pair, pair * 0)
        >>> found = camjax.Failures(np.array([0]), pair[:, 0], pair[:, 1], np.array([[0.7, 0.2]]), seen)
        >>> failures(np.zeros((1, 64, 64, 3), np.uint8), found, ["heart", "star", "moon"], tile=64).mode
        'RGB'
    """
    count = len(found.examples)
    if count == 0:
        raise ValueError("found: there are no failures to draw: every example is classified as it is labelled.")
    if found.explanation.heatmap is None:
        raise ValueError("found: its explanations have no heatmaps (size=None); ask camjax.failures for size='input'.")
    numbers = np.asarray(found.examples)
    if np.ndim(images) != 4 or len(images) <= numbers.max():
        raise ValueError(
            f"images: got shape {list(np.shape(images))}, expected [N, height, width, 3], a picture for every example "
            f"given to camjax.failures (example {numbers.max()} is among the failures)."
        )
    pairs = np.stack([found.predicted, found.true], 1)
    if labels is not None and len(labels) <= pairs.max():
        raise ValueError(f"labels: got {len(labels)} names, but class {pairs.max()} is among the failures.")
    names = [[str(c) if labels is None else labels[c] for c in pair] for pair in pairs[:most]]
    drawn = rows(found.explanation, (most, 2))
    against = None if found.counterfactual is None else rows(found.counterfactual, (most, 1))

    def heated(base: np.ndarray, heat: np.ndarray) -> np.ndarray:
        return overlay(base, heat, alpha=alpha, colormap=colormap, grey=grey)

    lines = []
    for i, (predicted, true) in enumerate(names):
        picture = enlarge(check_image(images[numbers[i]]), tile)
        line = [Tile(picture, true, f"example {numbers[i]}")]
        for k, title in enumerate((f"predicted: {predicted}", f"true: {true}")):
            caption = f"probability {found.probability[i, k]:.3f}, {drawn.captions[i][k]}"
            line.append(Tile(heated(picture, drawn.maps[i, k]), title, caption))
        if against is not None:
            line.append(Tile(heated(picture, against.maps[i, 0]), f"against {predicted}", against.captions[i][0]))
        lines.append(line)
    note = f"{len(lines)} of {count} failures" if len(lines) < count else ""
    return sheet(lines, heated(*ramp(lines[0][0].pixels.shape[0])), note)
