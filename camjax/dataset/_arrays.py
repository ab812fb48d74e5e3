"""Sources in memory or in a NumPy file, and what a user's own function returns."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from camjax.dataset._outcome import Outcome
from camjax.dataset._source import Record, RecordError, Source, SourceError

IMAGES, LABELS = ("images", "x"), ("labels", "y")


class Arrays(Source):
    """Examples along the first axis of an array, or of the arrays in a `.npy` or `.npz` file.

    uint8 `[N, height, width, 3]` are pictures, which are brought to the model's size; floating numbers `[N, ...]` are
    the model's inputs as they are. A `.npz` file has them as `images` or `x`, and the classes, if they are known, as
    `labels` or `y`. A `.npy` file stays on the disk, and only what is needed is read.

    Raises:
        SourceError: the array is neither, is empty, or the labels are not as many.

    Example:
        >>> source = Arrays(np.zeros((3, 8, 8, 3), np.uint8), np.array([1, 0, 2]))
        >>> len(source), source[2].label
        (3, 2)
    """

    kind = "arrays"

    def __init__(self, images: Any, labels: Any = None) -> None:
        if isinstance(images, str | Path):
            images, labels = _from_file(Path(images))
        if not isinstance(images, np.ndarray):
            images = np.asarray(images)
        floating = np.issubdtype(images.dtype, np.floating)
        if not images.shape or not (floating or (images.dtype == np.uint8 and images.shape[3:] == (3,))):
            raise SourceError(
                f"images: got {images.dtype} {list(images.shape)}, expected pictures, uint8 [N, height, width, 3], "
                "or a model's inputs, floating [N, ...]."
            )
        if not len(images):
            raise SourceError("images: the array is empty.")
        self._images, self._floating = images, floating
        if labels is not None:
            labels = np.asarray(labels)
            if labels.shape != (len(images),) or labels.dtype.kind not in "iuU":
                raise SourceError(
                    f"labels: got {labels.dtype} {list(labels.shape)}, expected {len(images)} class indices or names."
                )
            self.labels = labels.tolist()
        self.fingerprint = _sampled(images, labels)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Record:
        return Record(np.array(self._images[index]), None if self.labels is None else self.labels[index])

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of one example where the array has a model's inputs."""
        return self._images.shape[1:] if self._floating else None


class Factory(Source):
    """A user's own data source: any object with `len()` and indexing, such as Grain's `RandomAccessDataSource`.

    Each of its records is an image, a pair (image, label), or a dict with "image" and, if it is known, "label". An
    image is what `Record.image` says. Its order is that of its indices; it must not depend on anything else.

    Example:
        >>> source = Factory([(np.zeros((4, 4, 3), np.uint8), "star")])
        >>> source[0].label
        'star'
    """

    kind = "factory"

    def __init__(self, records: Any) -> None:
        if not (hasattr(records, "__len__") and hasattr(records, "__getitem__")):
            raise SourceError(
                f"source: got {type(records).__name__}, expected an object with len() and indexing, such as a Grain "
                "RandomAccessDataSource."
            )
        self._records = records
        if not len(records):
            raise SourceError("source: it has no records.")
        digest = hashlib.sha256(type(records).__qualname__.encode())
        for index in np.unique(np.linspace(0, len(records) - 1, 8).astype(int)):
            digest.update(self._content(int(index)))
        self.fingerprint = digest.hexdigest()

    def __len__(self) -> int:
        return len(self._records)

    def _content(self, index: int) -> bytes:
        try:
            image = self[index].image
        except RecordError:
            return b""
        return image if isinstance(image, bytes) else np.ascontiguousarray(image).tobytes()

    def __getitem__(self, index: int) -> Record:
        try:
            found = self._records[index]
        except Exception as error:  # a user's own code may raise anything; one record must not end the run
            raise RecordError(Outcome.FAILED, f"reading it failed: {type(error).__name__}: {error}") from error
        label = None
        if isinstance(found, dict):
            found, label = found.get("image"), found.get("label")
        elif isinstance(found, tuple) and len(found) == 2:
            found, label = found
        if isinstance(found, bytearray | memoryview):
            found = bytes(found)
        if not isinstance(found, bytes):
            found = np.asarray(found)
            if found.dtype != np.uint8 and not np.issubdtype(found.dtype, np.floating):
                raise RecordError(
                    Outcome.RECORD, f"expected bytes, uint8 pixels or a floating input, got {found.dtype}."
                )
        return Record(found, label if label is None or isinstance(label, str) else int(label))

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of the first example where it is a model's input."""
        try:
            image = self[0].image
        except RecordError:
            return None
        return None if isinstance(image, bytes) or image.dtype == np.uint8 else image.shape


def _from_file(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    try:
        found = np.load(path, mmap_mode="r" if path.suffix == ".npy" else None)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read as a NumPy file ({error}).") from error
    if isinstance(found, np.ndarray):
        return found, None
    with found:
        images = [name for name in IMAGES if name in found.files]
        labels = [name for name in LABELS if name in found.files]
        if len(images) != 1 or len(labels) > 1:
            raise SourceError(f"{path}: expected one array called images or x, found {', '.join(found.files)}.")
        return found[images[0]], found[labels[0]] if labels else None


def _sampled(images: np.ndarray, labels: np.ndarray | None) -> str:
    # Shape and dtype, all labels, and the content of up to 64 examples: the whole of a large file takes too long.
    digest = hashlib.sha256(f"{images.dtype} {images.shape}".encode())
    for index in np.unique(np.linspace(0, len(images) - 1, 64).astype(int)):
        digest.update(np.ascontiguousarray(images[index]).tobytes())
    if labels is not None:
        digest.update(labels.tobytes())
    return digest.hexdigest()
