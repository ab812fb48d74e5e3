"""What a model sees of a picture, and its input."""

import re

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from camjax import Preprocess, images
from tests.images.pictures import photo, saved


def reference_crop(image, size, resize):
    """torchvision's Resize and CenterCrop, step by step."""
    height, width = image.shape[:2]
    long = int(resize * max(height, width) / min(height, width))
    rows, columns = (resize, long) if height <= width else (long, resize)
    resized = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR))
    top, left = round((rows - size[0]) / 2.0), round((columns - size[1]) / 2.0)
    return resized[top : top + size[0], left : left + size[1]]


@settings(max_examples=40, deadline=None)
@given(height=st.integers(20, 400), width=st.integers(20, 400), extra=st.integers(0, 40))
def test_the_crop_is_resize_then_centre_crop(height, width, extra):
    image = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    spec = Preprocess(size=(64, 64), resize=64 + extra)
    expected = reference_crop(image, (64, 64), 64 + extra)
    assert np.abs(images.crop(image, spec).astype(int) - expected).max() <= 2  # each of two passes rounds to 8 bits


def test_without_resize_the_whole_picture_is_stretched():
    expected = Image.fromarray(photo()).resize((24, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(images.crop(photo(), Preprocess(size=(32, 24), resize=None)), expected)


def test_another_size_shows_the_same_part():
    image = photo(200, 300)
    spec = Preprocess(size=(56, 56), resize=64)
    large = images.crop(image, spec, size=(168, 168))
    small = large.reshape(56, 3, 56, 3, 3).mean((1, 3))
    assert np.abs(small - images.crop(image, spec)).max() < 8


def test_a_very_long_picture_costs_no_more():
    strip = np.zeros((1, 60_000, 3), np.uint8)  # resized as a whole it would have 11 gigabytes
    strip[:, 29_000:31_000] = 200
    assert (images.crop(strip, Preprocess()) == 200).all()


def test_the_input_is_the_crop_normalised():
    spec = Preprocess(size=(32, 24), resize=48)
    x, seen = images.preprocess(photo(50, 70), spec)
    assert x.dtype == np.float32
    assert x.shape == (32, 24, 3)
    np.testing.assert_array_equal(seen, images.crop(photo(50, 70), spec))
    np.testing.assert_allclose(x, (seen / 255 - np.array(spec.mean)) / np.array(spec.std), atol=1e-5)


def test_layout_scale_and_one_channel():
    base = Preprocess(size=(32, 24), resize=48, mean=(1.0,) * 3, std=(1.0,) * 3, scale=127.5, layout="NCHW")
    x, seen = images.preprocess(photo(50, 70), base)
    np.testing.assert_allclose(x, np.moveaxis(seen / 127.5 - 1, -1, 0), atol=1e-5)
    x, seen = images.preprocess(photo(50, 70), Preprocess((32, 24), 48, mean=(0.0,), std=(1.0,)))
    assert x.shape == (32, 24, 1)
    luminance = seen @ [0.299, 0.587, 0.114]  # ITU-R 601
    assert np.abs(x[..., 0] * 255 - luminance).max() <= 1
    assert seen.shape == (32, 24, 3)


@pytest.mark.parametrize("channels", [3, 1])
def test_the_view_of_a_file_is_the_crop_of_its_picture_and_normalised_by_jax_the_input(tmp_path, channels):
    spec = Preprocess((32, 24), 48, mean=(0.4,) * channels, std=(0.2,) * channels, layout="NCHW")
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path / "a.jpg", Image.fromarray(photo(50, 70)), exif=exif)
    view = images.view(path.read_bytes(), spec)
    x, seen = images.preprocess(images.load(path), spec)
    np.testing.assert_array_equal(view, images.view(images.load(path), spec))
    if channels == 3:
        np.testing.assert_array_equal(view, seen)
    np.testing.assert_array_equal(images.normalise(view, spec), x)
    np.testing.assert_allclose(jax.jit(lambda view: images.normalise(view, spec))(view), x, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (Preprocess(size=(300, 224)), ["size 300x224 does not fit", "256x384", "resize=300"]),
        (Preprocess(interpolation="linear"), ["interpolation", "'linear'", "bilinear, hamming, bicubic"]),
        (Preprocess(mean=(0.5,)), ["mean has 1 and std 3", "3 (RGB) or 1 (grey)"]),
        (Preprocess(mean=(0.5,) * 4, std=(1.0,) * 4), ["mean has 4"]),
        (Preprocess(std=(1.0, 0.0, 1.0)), ["std (1.0, 0.0, 1.0)", "none may be 0"]),
        (Preprocess(scale=0.0), ["scale 0.0", "none may be 0"]),
        (Preprocess(layout="HWC"), ["'NHWC' or 'NCHW'", "'HWC'"]),
    ],
)
def test_a_preprocessing_that_makes_no_sense(spec, words):
    with pytest.raises(ValueError, match=".*".join(map(re.escape, words))):
        images.preprocess(photo(40, 60), spec)


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_not_rgb(image):
    with pytest.raises(ValueError, match=r"expected uint8 \[height, width, 3\]; camjax.images.load"):
        images.crop(image, Preprocess())
