"""A sheet of labelled tiles with a colour bar: the typography of `camjax.plot`, and nothing else."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image, ImageFont

MARGIN, GAP = 16, 14
TITLE, CAPTION = 15, 12  # font sizes in pixels
INK, SOFT, PAPER, LINE = "#1a1a1e", "#6a6a72", "#ffffff", "#d5d5da"


class Tile(NamedTuple):
    """Pixels `[h, w, 3]` uint8 under a title and a caption."""

    pixels: np.ndarray
    title: str = ""
    caption: str = ""


def sheet(rows: Sequence[Sequence[Tile]], bar: np.ndarray, note: str = "") -> Image.Image:
    """Rows of equally large tiles, the colour bar (1 on top, 0 below) to the right of the first row.

    Titles and captions are cut with an ellipsis to the width of their tile; a line of text that no tile
    has takes no room. `note` stands below everything.
    """
    from PIL import Image, ImageDraw

    height, width = rows[0][0].pixels.shape[:2]
    tiles = [tile for row in rows for tile in row]
    title_height = TITLE + 6 if any(tile.title for tile in tiles) else 0
    above = title_height + (CAPTION + 9 if any(tile.caption for tile in tiles) else 0)
    pitch = above + height + GAP
    right = 2 * MARGIN + max(len(row) for row in rows) * (width + GAP)
    size = (
        right + bar.shape[1] + 28 + MARGIN,
        2 * MARGIN - GAP + len(rows) * pitch + (CAPTION + 12 if note else 0),
    )
    paper = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(paper)

    def put(pixels: np.ndarray, x: int, y: int) -> None:
        paper.paste(Image.fromarray(pixels), (x, y))
        draw.rectangle((x - 1, y - 1, x + pixels.shape[1], y + pixels.shape[0]), outline=LINE)

    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            x, y = MARGIN + j * (width + GAP), MARGIN + i * pitch
            draw.text((x, y), elide(tile.title, TITLE, width), INK, font(TITLE))
            below = y + title_height
            draw.text((x, below), elide(tile.caption, CAPTION, width), SOFT, font(CAPTION))
            put(tile.pixels, x, y + above)
    x, y = right - GAP // 2, MARGIN + above
    put(bar, x, y)
    for text, at in (("1", 0), ("0.5", 0.5), ("0", 1)):
        level = y + round(at * (bar.shape[0] - 1))
        draw.line((x + bar.shape[1], level, x + bar.shape[1] + 4, level), SOFT)
        draw.text((x + bar.shape[1] + 7, level), text, SOFT, font(CAPTION), anchor="lm")
    if note:
        draw.text((MARGIN, size[1] - MARGIN - CAPTION - 2), elide(note, CAPTION, right), SOFT, font(CAPTION))
    return paper


def elide(text: str, size: int, width: int) -> str:
    """The text on one line, or as much of its beginning as fits into `width` pixels, and an ellipsis."""
    text = " ".join(text.split())
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(text + "…") > width:
        text = text[:-1]
    return text.rstrip(" ,;-") + "…"


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """DejaVu Sans as matplotlib ships it: Pillow's own font has no letter beyond ASCII."""
    import matplotlib
    from PIL import ImageFont

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    try:
        return ImageFont.truetype(str(path), size)
    except OSError:  # a distribution may package matplotlib's fonts elsewhere
        return ImageFont.load_default(size)


def enlarge(pixels: np.ndarray, longest: int) -> np.ndarray:
    """A picture resampled so that its longer side has `longest` pixels."""
    from PIL import Image

    scale = longest / max(pixels.shape[:2])
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def png_bytes(image: Image.Image) -> bytes:
    """A Pillow picture as the bytes of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
