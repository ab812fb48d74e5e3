"""The real weights and photos that `CAMJAX_DATA` points to, for every test that uses them.

Nothing of it is copied into the project. A test that needs it calls `data_dir()` (or one of the functions
below), which skips the test, with the reason, where the variable is not set. Reading needs only NumPy and
Pillow, so a script that runs in another library's environment can read the very same pixels.
"""

from __future__ import annotations

import csv
import functools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Photo(NamedTuple):
    """A labelled photo: its file, its ImageNet class and the class's name."""

    path: Path
    label: int
    name: str


def data_dir() -> Path:
    """The folder of real data; skips the calling test, with a reason, without one."""
    root = os.environ.get("CAMJAX_DATA")
    if not root:
        import pytest

        pytest.skip("real weights and photos: set CAMJAX_DATA to the folder that holds them")
    path = Path(root)
    if not path.is_dir():
        raise FileNotFoundError(f"CAMJAX_DATA is {root!r}, which is not a folder")
    return path


def checkpoint(name: str) -> Path:
    """A file of pretrained weights, by its name in `checkpoints/`."""
    path = data_dir() / "checkpoints" / name
    if not path.is_file():
        raise FileNotFoundError(f"CAMJAX_DATA has no checkpoints/{name}")
    return path


def photos(count: int | None = None) -> list[Photo]:
    """The first `count` (default: all 100) labelled photos, in the order of `imagenet100/labels.csv`."""
    folder = data_dir() / "imagenet100"
    with open(folder / "labels.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:count]
    return [Photo(folder / row["file"], int(row["class_index"]), row["class_name"]) for row in rows]


@functools.cache
def pixels(path: Path, size: int = 224, resize: int = 256) -> UInt8[np.ndarray, "size size 3"]:
    """The photo's shorter side at `resize` pixels (bilinear), then its centre square: RGB (read only)."""
    with Image.open(path) as picture:
        rgb = picture.convert("RGB")
    width, height = rgb.size
    if width < height:
        width, height = resize, int(resize * height / width)
    else:
        width, height = int(resize * width / height), resize
    left, top = round((width - size) / 2), round((height - size) / 2)
    resized = rgb.resize((width, height), Image.Resampling.BILINEAR)
    array = np.asarray(resized.crop((left, top, left + size, top + size)))
    array.flags.writeable = False
    return array


def batch(
    paths: list[Path], style: str = "imagenet", layout: str = "NHWC", resize: int = 256
) -> Float32[np.ndarray, "b ..."]:
    """A batch of photos as the networks want them.

    `style`: `"imagenet"` ((x / 255 - mean) / std), `"tf"` (x / 127.5 - 1), `"raw"` (0..255).
    `layout`: `"NHWC"` or `"NCHW"`. `resize`: the shorter side before the crop (224: no crop if square).
    """
    x = np.stack([pixels(path, resize=resize) for path in paths]).astype(np.float32)
    if style == "imagenet":
        x = (x / 255 - np.float32(IMAGENET_MEAN)) / np.float32(IMAGENET_STD)
    elif style == "tf":
        x = x / np.float32(127.5) - 1
    elif style != "raw":
        raise ValueError(f"style must be 'imagenet', 'tf' or 'raw', got {style!r}")
    if layout == "NCHW":
        x = x.transpose(0, 3, 1, 2)
    elif layout != "NHWC":
        raise ValueError(f"layout must be 'NHWC' or 'NCHW', got {layout!r}")
    return np.ascontiguousarray(x, np.float32)


def reference_logits(network: str) -> Float32[np.ndarray, "10 1000"]:
    """PyTorch's logits on the first 10 photos.

    `network`: `squeezenet1_1`, `mobilenet_v2_tfsame` or `mobilenet_v1_0.25`.
    """
    with np.load(data_dir() / "reference" / f"{network}_logits_first10.npz") as stored:
        return stored["logits"]


class Reference(NamedTuple):
    """What PyTorch predicted on all 100 photos."""

    top1: float
    predictions: list[int]


def reference_results(network: str) -> Reference:
    """The recorded top-1 accuracy and predictions on the 100 photos, networks as for `reference_logits`."""
    recorded = json.loads((data_dir() / "reference" / "imagenet100_results.json").read_text())[network]
    return Reference(recorded["top1_on_imagenet100"], recorded["pred100"])
