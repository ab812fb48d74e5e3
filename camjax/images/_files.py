"""From a picture file, whatever its kind, to 8-bit RGB."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import UInt8
    from PIL import Image

# Formats are named rather than left to Pillow: some of its others start programs (EPS runs Ghostscript).
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "JPEG2000", "AVIF", "ICO")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".ppm", ".pgm", ".pnm"}
    | {".webp", ".tif", ".tiff", ".jp2", ".j2k", ".avif", ".ico"}
)


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
    return np.array(opened(data, name), dtype=np.uint8)


@contextmanager
def quiet() -> Iterator[None]:
    """Without Pillow's warnings, which are about metadata. It holds for the whole process, so threads share one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ImageError(f"{path}: is a folder; name a picture in it.", "unreadable")
    if not path.exists():
        raise ImageError(f"{path}: no such file; check the path.", "missing")
    if not path.is_file():
        raise ImageError(f"{path}: is a pipe or a device, not a file; write it to a file first.", "unreadable")
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: the file is empty (0 bytes); copy or download it again.", "empty")


def opened(data: bytes, name: str) -> Image.Image:
    """The picture in a file's content, as `load` makes it."""
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
