"""Pictures in: from a file to 8-bit RGB, and from there to a model's input. Needs Pillow (extra `cli`)."""

from camjax.images._files import FORMATS, SUFFIXES, ImageError, decode, load, quiet
from camjax.images._view import INTERPOLATIONS, crop, normalise, preprocess, view

__all__ = [
    "FORMATS",
    "INTERPOLATIONS",
    "SUFFIXES",
    "ImageError",
    "crop",
    "decode",
    "load",
    "normalise",
    "preprocess",
    "quiet",
    "view",
]
