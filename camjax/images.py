"""Pictures in: from a file to 8-bit RGB, and from there to a model's input. Needs Pillow (extra `cli`)."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camjax import _jpeg

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float32, UInt8
    from PIL import Image

    from camjax._model import Preprocess

# Formats are named rather than left to Pillow: some of its others start programs (EPS runs Ghostscript).
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "JPEG2000", "AVIF", "ICO")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".ppm", ".pgm", ".pnm"}
    | {".webp", ".tif", ".tiff", ".jp2", ".j2k", ".avif", ".ico"}
)
INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")


class ImageError(ValueError):
    """A file that cannot become a picture; the text names the file, what is wrong and what to do.

    Attributes:
        kind: what is wrong, for programs: "missing", "unreadable", "empty", "unrecognised", "damaged", "too large" or
            "mode".
    """

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


def load(path: str | os.PathLike[str]) -> UInt8[np.ndarray, "height width 3"]:
    """Read a picture file as 8-bit RGB.

    The camera's rotation (EXIF) is applied; grey, palette and CMYK pictures become RGB; transparent
    ones are laid on white; 16 bits become 8; of an animation the first frame is taken.

    Args:
        path: a JPEG, PNG, GIF, BMP, PPM, WebP, TIFF, JPEG 2000, AVIF or ICO file. What it is, is read
            from its content, not from its name.

    Returns:
        The pixels, `[height, width, 3]`, uint8, writable.

    Raises:
        ImageError: the file is missing, a folder, empty, no picture, truncated or damaged, has more
            pixels than `PIL.Image.MAX_IMAGE_PIXELS`, or has pixels without a defined white.

    Example:
        >>> import tempfile, PIL.Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     PIL.Image.new("L", (4, 2), 128).save(f"{folder}/grey.png")
        ...     pixels = load(f"{folder}/grey.png")
        >>> pixels.shape, pixels[0, 0].tolist()
        ((2, 4, 3), [128, 128, 128])
    """
    path = Path(path)
    _check_file(path)
    with quiet():
        return np.array(_decode(path, path), dtype=np.uint8)


def decode(data: bytes, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """What `load` does, for the content of a file that has been read; `name` is what errors call it.

    It may run in several threads at once, all of them inside one `quiet()`.

    Raises:
        ImageError: as `load`.

    Example:
        >>> decode(b"P6 2 1 255 abcdef", "two pixels").tolist()
        [[[97, 98, 99], [100, 101, 102]]]
    """
    return np.array(_content(data, name), dtype=np.uint8)


@contextmanager
def quiet() -> Iterator[None]:
    """Without Pillow's warnings, which are about metadata. It holds for the whole process, so threads share one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def crop(
    image: UInt8[np.ndarray, "height width 3"],
    spec: Preprocess,
    size: tuple[int, int] | None = None,
    interpolation: str | None = None,
) -> UInt8[np.ndarray, "h w 3"]:
    """The part of a picture that a model sees, at the model's size or any other.

    Computes what resizing the shorter side to `spec.resize` pixels and cropping the centre does (the
    long side's length is cut to an integer, the crop's corner is rounded, as torchvision does), in one
    resampling of the part that is needed: a very long picture costs no more than a square one.

    Args:
        image: `[height, width, 3]` uint8.
        spec: its `size`, `resize` and `interpolation` are used.
        size: (height, width) of the result; the model's own when None. Another size shows the same
            part of the picture in another resolution.
        interpolation: `spec.interpolation` when None.

    Returns:
        `[h, w, 3]` uint8.

    Raises:
        ValueError: the picture is not uint8 RGB, the crop is larger than the resized picture, or the
            interpolation is unknown.

    Example:
        >>> import camjax
        >>> crop(np.zeros((480, 640, 3), np.uint8), camjax.Preprocess(size=(224, 224), resize=256)).shape
        (224, 224, 3)
    """
    from PIL import Image

    _check_rgb(image)
    name = spec.interpolation if interpolation is None else interpolation
    return np.array(_resampled(Image.fromarray(image), spec, spec.size if size is None else size, name), dtype=np.uint8)


def view(
    picture: bytes | UInt8[np.ndarray, "height width 3"], spec: Preprocess, name: str = "image"
) -> UInt8[np.ndarray, "h w c"]:
    """`crop` of a picture, or of a picture file's content, with as many channels as the model has: 3, or 1 (luminance).

    `normalise` makes the model's input of it, here or on a device. It may run in several threads at once, all of them
    inside one `quiet()`; the array may be the picture itself, and is not to be written.

    Raises:
        ImageError: as `load`; `name` is what the text calls the content.
        ValueError: as `preprocess`.

    Example:
        >>> import camjax
        >>> spec = camjax.Preprocess(size=(1, 2), resize=None)
        >>> view(b"P6 2 1 255 abcdef", spec).tolist()
        [[[97, 98, 99], [100, 101, 102]]]
    """
    from PIL import Image

    channels = _checked(spec)
    pixels = _jpeg.pixels(picture, Image.MAX_IMAGE_PIXELS) if isinstance(picture, bytes) else picture
    if pixels is None:
        image = _content(bytes(picture), name)
    else:
        _check_rgb(pixels)
        if spec.resize is None and pixels.shape == (*spec.size, channels):
            return pixels  # nothing would be resampled
        image = Image.fromarray(pixels)
    image = _resampled(image, spec, spec.size, spec.interpolation)
    return np.asarray(image) if channels == 3 else np.asarray(image.convert("L"))[..., None]


def normalise(seen: Any, spec: Preprocess) -> Any:
    """A model's input for what it sees of one picture: `(seen / scale - mean) / std`, in the model's layout.

    Args:
        seen: `[h, w, c]` uint8, of NumPy or of jax, where it can be traced and mapped.
        spec: the model's; its `mean` has c numbers.

    Returns:
        float32, `[h, w, c]` or `[c, h, w]`.

    Example:
        >>> import camjax
        >>> normalise(np.full((1, 1, 3), 255, np.uint8), camjax.Preprocess(mean=(0.5,) * 3, std=(0.5,) * 3)).tolist()
        [[[1.0, 1.0, 1.0]]]
    """
    mean, std = (np.array(numbers, np.float32).reshape(1, 1, -1) for numbers in (spec.mean, spec.std))
    x = (seen.astype(np.float32) / np.float32(spec.scale) - mean) / std
    return x.transpose(2, 0, 1) if spec.layout == "NCHW" else x


def preprocess(
    image: UInt8[np.ndarray, "height width 3"], spec: Preprocess
) -> tuple[Float32[np.ndarray, "*hwc"], UInt8[np.ndarray, "h w 3"]]:
    """A model's input for one picture, and the picture on which the model's heatmap lies.

    Args:
        image: `[height, width, 3]` uint8, as `load` returns it.
        spec: the model's. With a `mean` of one number the input has one channel, the luminance.

    Returns:
        `(x, seen)`: `x`, float32, `[h, w, c]` for the layout `"NHWC"` or `[c, h, w]` for `"NCHW"` (no
        batch axis), is `(seen / scale - mean) / std`; `seen` is the crop, `[h, w, 3]` uint8.

    Raises:
        ValueError: as `crop`, or mean, std, scale or layout make no sense.

    Example:
        >>> import camjax
        >>> spec = camjax.Preprocess(size=(2, 2), resize=None, mean=(0.5,) * 3, std=(0.5,) * 3)
        >>> x, seen = preprocess(np.full((4, 4, 3), 255, np.uint8), spec)
        >>> x.shape, float(x.max()), seen.shape
        ((2, 2, 3), 1.0, (2, 2, 3))
    """
    channels = _checked(spec)
    seen = crop(image, spec)
    return np.ascontiguousarray(normalise(seen if channels == 3 else _luminance(seen), spec)), seen


def _checked(spec: Preprocess) -> int:
    # The number of channels of a preprocessing that makes sense.
    channels = len(spec.mean)
    if len(spec.std) != channels or channels not in (1, 3):
        raise ValueError(
            f"preprocess: mean has {channels} and std {len(spec.std)} numbers; both need 3 (RGB) or 1 (grey)."
        )
    if 0 in spec.std or spec.scale == 0:
        raise ValueError(f"preprocess: std {spec.std} and scale {spec.scale} divide, so none may be 0.")
    if spec.layout not in ("NHWC", "NCHW"):
        raise ValueError(f"preprocess: layout is 'NHWC' or 'NCHW', got {spec.layout!r}.")
    return channels


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ImageError(f"{path}: is a folder; name a picture in it.", "unreadable")
    if not path.exists():
        raise ImageError(f"{path}: no such file; check the path.", "missing")
    if not path.is_file():
        raise ImageError(f"{path}: is a pipe or a device, not a file; write it to a file first.", "unreadable")
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: the file is empty (0 bytes); copy or download it again.", "empty")


def _check_rgb(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            f"image: got {image.dtype} {list(image.shape)}, expected uint8 [height, width, 3]; "
            "camjax.images.load reads a file so."
        )


def _content(data: bytes, name: str) -> Image.Image:
    if not data:
        raise ImageError(f"{name}: the file is empty (0 bytes); copy or download it again.", "empty")
    return _decode(io.BytesIO(data), name)


def _decode(file: Path | io.BytesIO, name: str | Path) -> Image.Image:
    from PIL import Image, ImageOps

    with _worded(name), Image.open(file, formats=FORMATS) as image:
        if 0 in image.size:
            raise ImageError(f"{name}: has no pixels ({image.width}x{image.height}); leave it out.", "empty")
        limit, pixels = Image.MAX_IMAGE_PIXELS, image.width * image.height
        if limit is not None and pixels > limit:  # Pillow itself would only warn up to twice as many
            raise Image.DecompressionBombError(f"{pixels} pixels, the limit is {limit}")
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image, image.format, name)


@contextmanager
def _worded(name: str | Path) -> Iterator[None]:
    """Turn whatever Pillow says of a file into an `ImageError`."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name}: not a picture, or its beginning is damaged; camjax reads {', '.join(FORMATS)}: "
            "convert it to one of them.",
            "unrecognised",
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name}: too large ({error}); scale it down first, or, if you trust it, raise PIL.Image.MAX_IMAGE_PIXELS.",
            "too large",
        ) from error
    except PermissionError as error:
        raise ImageError(f"{name}: may not be read; change its permissions.", "unreadable") from error
    except Exception as error:  # a damaged file makes Pillow's decoders raise nearly any type
        raise ImageError(
            f"{name}: truncated or damaged ({error}); copy or download it again, or save it anew.", "damaged"
        ) from error


def _to_rgb(image: Image.Image, format: str | None, name: str | Path) -> Image.Image:
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and format in ("PNG", "PPM")):
        grey = np.asarray(image).astype(np.float64) * (255 / 65535)
        return Image.fromarray(np.rint(grey).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F", "LAB"):
        raise ImageError(
            f"{name}: pixels of mode {image.mode!r} (32-bit or Lab) do not say what is white; convert it to 8-bit RGB.",
            "mode",
        )
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _resampled(image: Image.Image, spec: Preprocess, size: tuple[int, int], interpolation: str) -> Image.Image:
    from PIL import Image

    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation: got {interpolation!r}, expected one of {', '.join(INTERPOLATIONS)}.")
    box, method = _box(image.height, image.width, spec), Image.Resampling[interpolation.upper()]
    return image.resize((size[1], size[0]), method, box=box)


def _box(height: int, width: int, spec: Preprocess) -> tuple[float, float, float, float]:
    """(left, top, right, bottom), in the picture's pixels, of the part that the model sees."""
    if spec.resize is None:
        return 0.0, 0.0, float(width), float(height)
    short = spec.resize
    resized = (short, int(short * width / height)) if height <= width else (int(short * height / width), short)
    (h, w), (rows, columns) = spec.size, resized
    if h > rows or w > columns:
        raise ValueError(
            f"preprocess: size {h}x{w} does not fit in the picture resized to {rows}x{columns} "
            f"(height x width); use resize={max(h, w)} or more, or resize=None."
        )
    top, left = round((rows - h) / 2), round((columns - w) / 2)
    down, across = height / rows, width / columns
    return left * across, top * down, min((left + w) * across, width), min((top + h) * down, height)


def _luminance(seen: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 1"]:
    from PIL import Image

    return np.asarray(Image.fromarray(seen).convert("L"))[..., None]
