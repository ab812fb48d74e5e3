"""From 8-bit RGB to what a model sees of it, and to the model's input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from camjax.images import _jpeg
from camjax.images._files import opened

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8
    from PIL import Image

    from camjax._model import Preprocess

INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")


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
        image = opened(bytes(picture), name)
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


def _check_rgb(image: np.ndarray) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(
            f"image: got {image.dtype} {list(image.shape)}, expected uint8 [height, width, 3]; "
            "camjax.images.load reads a file so."
        )


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
