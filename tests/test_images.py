import io
import os
import re
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from camjax import Preprocess, images


def photo(height=40, width=60, seed=0):
    """A smooth picture, so that JPEG keeps its values to within a few steps."""
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(seed)
    waves = [np.sin(x / rng.uniform(5, 20) + y / rng.uniform(5, 20) + i) for i in range(3)]
    return np.uint8(np.stack(waves, -1) * 100 + 127)


def saved(path, image, **options):
    image.save(path, **options)
    return path


# Reading


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp"])
def test_lossless_files_come_back_exactly(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(photo()), **options)
    loaded = images.load(path)
    assert loaded.dtype == np.uint8
    assert loaded.flags.writeable
    np.testing.assert_array_equal(loaded, photo())


def test_a_jpeg_is_read_whatever_its_name(tmp_path):
    path = saved(tmp_path / "no_suffix", Image.fromarray(photo()), format="JPEG", quality=95)
    assert np.abs(images.load(str(path)).astype(int) - photo()).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_cameras_rotation_is_applied(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", Image.fromarray(photo()), exif=exif)
    # EXIF: which row and column of the scene the stored row 0 and column 0 are
    p = photo()
    t = p.swapaxes(0, 1)
    expected = [p, p[:, ::-1], p[::-1, ::-1], p[::-1], t, t[:, ::-1], t[::-1, ::-1], t[::-1]]
    np.testing.assert_array_equal(images.load(path), expected[orientation - 1])


def test_grey_becomes_three_equal_channels(tmp_path):
    grey = photo()[..., 0]
    for mode in ("L", "1"):
        picture = Image.fromarray(grey).convert(mode)
        loaded = images.load(saved(tmp_path / f"{mode}.png", picture))
        np.testing.assert_array_equal(loaded, np.asarray(picture.convert("L"))[..., None].repeat(3, -1))


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, suffix):
    deep = np.linspace(0, 65535, 64 * 32).astype(np.uint16).reshape(32, 64)
    loaded = images.load(saved(tmp_path / f"deep.{suffix}", Image.fromarray(deep)))
    assert loaded.shape == (32, 64, 3)
    assert np.abs(loaded - (deep / 257)[..., None]).max() <= 1
    assert loaded.min() == 0
    assert loaded.max() == 255


def test_cmyk_becomes_rgb(tmp_path):
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # no cyan, full magenta and yellow: red
    loaded = images.load(saved(tmp_path / "a.jpg", cmyk, quality=95))
    assert loaded[4, 4, 0] > 230
    assert loaded[4, 4, 1:].max() < 40


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_white_and_half_ones_half(tmp_path, mode):
    colour = (0, 0, 0) if mode == "RGBA" else (0,)
    picture = Image.new(mode, (3, 1))
    for x, alpha in enumerate((0, 128, 255)):
        picture.putpixel((x, 0), (*colour, alpha))
    loaded = images.load(saved(tmp_path / "a.png", picture))
    np.testing.assert_allclose(loaded[0, :, 0], [255, 127, 0], atol=1)


def test_a_palette_with_a_transparent_colour(tmp_path):
    picture = Image.fromarray(photo()).quantize(16)
    loaded = images.load(saved(tmp_path / "a.gif", picture))
    np.testing.assert_array_equal(loaded, np.asarray(picture.convert("RGB")))
    where = np.asarray(picture) == 3
    loaded = images.load(saved(tmp_path / "t.png", picture, transparency=3))
    assert (loaded[where] == 255).all()
    np.testing.assert_array_equal(loaded[~where], np.asarray(picture.convert("RGB"))[~where])


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_the_first_frame_of_an_animation(tmp_path, suffix):
    frames = [Image.new("RGB", (8, 8), c) for c in ("red", "lime", "blue")]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    assert images.load(tmp_path / f"a.{suffix}")[3, 3].tolist() == [255, 0, 0]


# Refusing: each text names the file, what is wrong and what to do


def refused(path, *words):
    with pytest.raises(images.ImageError) as caught:
        images.load(path)
    text = str(caught.value)
    assert str(path) in text
    for word in words:
        assert word in text
    return text


def test_missing_folder_pipe_empty(tmp_path):
    refused(tmp_path / "none.png", "no such file", "check the path")
    refused(tmp_path, "is a folder", "name a picture in it")
    os.mkfifo(tmp_path / "pipe.jpg")
    refused(tmp_path / "pipe.jpg", "pipe or a device", "write it to a file")
    (tmp_path / "empty.jpg").touch()
    refused(tmp_path / "empty.jpg", "empty (0 bytes)", "again")


def test_not_a_picture(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("these are notes, not pixels" * 10)
    refused(path, "not a picture", "JPEG, PNG", "convert it")


def test_postscript_is_not_handed_to_ghostscript(tmp_path):
    refused(saved(tmp_path / "a.eps", Image.new("RGB", (4, 4))), "not a picture")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "bmp", "gif", "ppm"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated(tmp_path, suffix, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(noise))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    text = refused(path)
    assert "truncated or damaged" in text or "beginning is damaged" in text


def test_more_pixels_than_pillow_trusts(tmp_path, monkeypatch):
    path = saved(tmp_path / "bomb.png", Image.new("L", (40, 40)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # 1600 pixels: Pillow warns
    refused(path, "too large", "1600 pixels", "scale it down", "MAX_IMAGE_PIXELS")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # and here it raises
    refused(path, "too large", "1600 pixels", "scale it down")


def test_pixels_without_a_white(tmp_path):
    for mode in ("F", "I"):
        refused(saved(tmp_path / f"{mode}.tif", Image.new(mode, (4, 4), 1)), f"mode '{mode}'", "8-bit RGB")


def test_unreadable(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.png", Image.new("RGB", (4, 4)))

    def deny(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", deny)  # the tests may run as root, whom permissions do not bind
    refused(path, "may not be read", "permissions")


ORIGINALS = []
for _format in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"):
    _buffer = io.BytesIO()
    Image.fromarray(photo(16, 16)).save(_buffer, _format)
    ORIGINALS.append(_buffer.getvalue())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), original=st.sampled_from(ORIGINALS))
def test_a_damaged_file_is_a_picture_or_an_image_error(tmp_path, monkeypatch, data, original):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # damage may write a huge size into the header
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(damaged)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            loaded = images.load(path)
        except images.ImageError:
            return
        assert loaded.ndim == 3


# Preparing


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


def test_exif_is_the_pillow_one(tmp_path):
    """Two independent ways agree: Pillow's own transposition of the opened file."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(Path(tmp_path) / "a.jpg", Image.fromarray(photo()), exif=exif, quality=95)
    with Image.open(path) as image:
        np.testing.assert_array_equal(images.load(path), np.asarray(ImageOps.exif_transpose(image)))


def test_content_in_memory_is_decoded_in_threads_as_its_file_is(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.jpg" for i in range(8)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (40, 56, 3), np.uint8)).save(path)
    with images.quiet(), ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(lambda path: images.decode(path.read_bytes(), path.name), paths))
    for path, pixels in zip(paths, decoded, strict=True):
        np.testing.assert_array_equal(pixels, images.load(path))


@pytest.mark.parametrize(
    ("content", "kind"), [(b"", "empty"), (b"no picture", "unrecognised"), (b"P6 9 9 255 a", "damaged")]
)
def test_errors_tell_programs_what_is_wrong(content, kind, tmp_path):
    with pytest.raises(images.ImageError, match=r"^some file: ") as caught:
        images.decode(content, "some file")
    assert caught.value.kind == kind
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(images.ImageError) as caught:
        images.load(path)
    assert caught.value.kind == kind
