"""Ways in which the file of a picture can be wrong, and what a run makes of each."""

import io
import os
import struct
import zlib

import numpy as np
from PIL import Image

from camjax.dataset import Outcome
from tests.dataset.conftest import encoded


def png(width, height, body=b"", kind=2, depth=8):
    """A PNG with any header and any body."""

    def part(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(body)) + part(b"IEND", b"")


def saved(array, format, **options):
    file = io.BytesIO()
    Image.fromarray(array).save(file, format, **options)
    return file.getvalue()


def flipped(data, *places):
    data = bytearray(data)
    for place in places:
        data[place] ^= 0xFF
    return bytes(data)


def content(picture):
    """Name -> the content of a damaged file, and the outcomes that are right for it."""
    jpeg, lossless = encoded(picture), encoded(picture, "PNG")
    gif, bmp, webp = (encoded(picture, format) for format in ("GIF", "BMP", "WEBP"))
    tiff = saved(picture, "TIFF", compression="tiff_lzw")
    middle = 41 + struct.unpack(">I", lossless[33:37])[0] // 2  # of the first block of pixels
    damaged, unrecognised = Outcome.DAMAGED, Outcome.UNRECOGNISED
    return {
        "no bytes": (b"", Outcome.EMPTY),
        "one byte": (b"\xff", unrecognised),
        "text": (b"this is not a picture\n" * 50, unrecognised),
        "zeros": (bytes(5000), unrecognised),
        "random": (np.random.default_rng(0).bytes(5000), unrecognised),
        "a web page": (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", unrecognised),
        "an archive": (b"PK\x03\x04" + bytes(500), unrecognised),
        "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", unrecognised),
        "a vector picture": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', unrecognised),
        "JPEG: only its mark": (jpeg[:2], unrecognised),
        "JPEG: only its head": (jpeg[:200], damaged),
        "JPEG: half of it": (jpeg[: len(jpeg) // 2 + 250], damaged),
        "JPEG: another beginning": (flipped(jpeg, 0, 1), unrecognised),
        "JPEG: its beginning cut off": (jpeg[10:], unrecognised),
        "PNG: only its mark": (lossless[:8], unrecognised),
        "PNG: half of it": (lossless[: len(lossless) // 2], damaged),
        "PNG: one wrong byte among the pixels": (flipped(lossless, middle), damaged),
        "PNG: pixels that are no zlib": (flipped(lossless, 41, 42), damaged),
        "PNG: its head's checksum": (flipped(lossless, 29), unrecognised),
        "PNG: no pixels": (png(0, 5), unrecognised),
        "PNG: fewer pixels than it says": (png(50, 50, bytes(100)), damaged),
        "PNG: two billion pixels": (png(46000, 46000, bytes(100)), Outcome.TOO_LARGE),
        "PNG: 100 million pixels": (png(10000, 10000, bytes(100)), Outcome.TOO_LARGE),
        "GIF: half of it": (gif[: len(gif) // 2], damaged),
        "GIF: only its head": (gif[:10], unrecognised),
        "BMP: half of it": (bmp[: len(bmp) // 2], damaged),
        "WebP: half of it": (webp[: len(webp) // 2], damaged),
        "TIFF: half of it": (tiff[: len(tiff) // 2], unrecognised),
        "TIFF: floating pixels": (saved(np.ones((9, 9), np.float32), "TIFF"), Outcome.MODE),
        "TIFF: 32-bit pixels": (saved(np.ones((9, 9), np.int32), "TIFF"), Outcome.MODE),
        "PPM: too short": (b"P6 9 9 255 abc", damaged),
    }


def files(folder):
    """Name -> what makes a file wrong in another way than by its content, and the outcomes."""

    def pipe(path):
        path.unlink()
        os.mkfifo(path)

    def dangling(path):
        path.unlink()
        path.symlink_to(folder / "nowhere")

    return {
        "a pipe": (pipe, Outcome.UNREADABLE),
        "a link to nothing": (dangling, Outcome.MISSING),
    }
