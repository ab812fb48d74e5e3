"""Ordinary JPEGs, decoded without Pillow's objects around them: the same pixels in less than half of the time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import UInt8

START = b"\xff\xd8\xff"
ROTATED = (b"Exif\0\0", b"tiff:Orientation")  # where Pillow looks for the camera's rotation: in EXIF, and in XMP


def pixels(data: bytes, limit: int | None) -> UInt8[np.ndarray, "height width 3"] | None:
    """What Pillow's libjpeg makes of a JPEG, by `simplejpeg`'s; None where there is anything to decide.

    That is: no JPEG, one that may be rotated or has other colours than YCbCr, one with more pixels than `limit`, a
    damaged one (even if only a warning says so), or simplejpeg is not installed. It keeps no other thread from running.
    """
    if not data.startswith(START) or any(mark in data for mark in ROTATED):
        return None
    try:
        import simplejpeg
    except ImportError:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours != "YCbCr" or (limit is not None and int(height) * int(width) > limit):
            return None
        return simplejpeg.decode_jpeg(data, "RGB")
    except ValueError:
        return None
