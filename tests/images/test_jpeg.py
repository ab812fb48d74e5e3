"""The quick decoder gives Pillow's pixels, and leaves to Pillow whatever is not ordinary."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from camjax import Preprocess, images
from camjax.images import _jpeg


def encoded(height=37, width=50, mode="RGB", format="JPEG", **options):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    file = io.BytesIO()
    picture.convert(mode).save(file, format, **options)
    return file.getvalue()


@pytest.mark.parametrize("options", [{}, {"quality": 30}, {"progressive": True}, {"restart_marker_blocks": 2}])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_the_same_pixels_as_pillow(options, subsampling):
    for height, width in ((37, 50), (64, 64), (1, 7)):
        data = encoded(height, width, subsampling=subsampling, **options)
        np.testing.assert_array_equal(_jpeg.pixels(data, None), images.decode(data, ""))


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


LEFT = {
    "a PNG": encoded(format="PNG"),
    "grey": encoded(mode="L"),
    "CMYK": encoded(mode="CMYK"),
    "as red, green and blue": encoded(keep_rgb=True),
    "rotated": encoded(exif=rotated()),
    "rotated by XMP": encoded(xmp=b'<x tiff:Orientation="6"/>'),
    "too many pixels": encoded(51, 50),
    "truncated": encoded()[:-40],
    "no content": encoded()[:2],
    "a damaged header": encoded()[:30] + b"x" * 20,
}


@pytest.mark.parametrize("data", LEFT.values(), ids=LEFT)
def test_left_to_pillow(data):
    assert _jpeg.pixels(data, 50 * 50) is None


def test_without_simplejpeg_pillow_gives_the_same_view(monkeypatch):
    data, spec = encoded(), Preprocess((16, 24), 30)
    quick = images.view(data, spec)
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    assert _jpeg.pixels(data, None) is None
    np.testing.assert_array_equal(images.view(data, spec), quick)
