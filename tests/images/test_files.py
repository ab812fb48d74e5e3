"""Picture files of every kind become the same RGB, or an error that says why not."""

import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from camjax import images
from tests.images.pictures import photo, saved

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
