"""The contract of a source: examples in a defined order, each read by its index, and what identifies them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from camjax.dataset._outcome import Outcome


class Record(NamedTuple):
    """One example as a source holds it.

    Attributes:
        image: the content of a picture file, or uint8 pixels `[height, width, 3]`, or floating numbers: the model's
            input as it is, without a batch axis.
        label: its class, an index or a name; None where it is not known.
    """

    image: bytes | np.ndarray
    label: int | str | None = None


class RecordError(Exception):
    """One example cannot be read: the reason for machines, and in words."""

    def __init__(self, outcome: Outcome, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome


class SourceError(ValueError):
    """A source as a whole cannot be used; the text says why and what to do."""


class Source:
    """Examples `0 .. len(source) - 1`: their order does not depend on who reads them, and an index is an id.

    A source is read from several threads at once, and pickled for worker processes.

    Attributes:
        kind: what it is, in a word or two.
        names: the examples' names, by which they are found again; or None, then the index is the name.
        labels: their labels where they are known without reading the examples, else None.
        sizes: the sizes of their files in bytes, where they are files of their own, else None.
        fingerprint: a hash of names and sizes, so that another source is not taken for this one.
    """

    kind: str = "source"
    names: Sequence[str] | None = None
    labels: Sequence[int | str | None] | None = None
    sizes: Sequence[int] | None = None
    fingerprint: str = ""

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, index: int) -> Record:
        """Reads one example.

        Raises:
            RecordError: with the reason why it cannot be read. An OSError is taken for one, too.
        """
        raise NotImplementedError

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of one example where the source holds a model's inputs; None where it holds pictures."""
        return None

    def name(self, index: int) -> str:
        """An example's name."""
        return str(index) if self.names is None else self.names[index]

    def continued(self, names: Sequence[str], sizes: Sequence[int]) -> Source:
        """This source as it was when a run began, with these names and sizes, if it differs by missing files alone."""
        return self

    def described(self) -> dict[str, Any]:
        """What identifies it; not where it lies, so that it may be moved."""
        return {"kind": self.kind, "count": len(self), "fingerprint": self.fingerprint}


def fingerprint(parts: Iterable[tuple[str, int]]) -> str:
    """A hash of names and numbers, in their order.

    >>> fingerprint([("a.jpg", 10)]) == fingerprint([("a.jpg", 11)])
    False
    """
    digest = hashlib.sha256()
    for name, number in parts:
        digest.update(f"{name}\0{number}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def shards(paths: Sequence[Path], samples: int = 4, block: int = 1 << 16) -> str:
    """A hash of large files: of their names and sizes, and of some blocks of their content."""
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\n".encode(errors="surrogateescape"))
        with path.open("rb") as file:
            for sample in range(samples):
                file.seek(max(0, size - block) * sample // max(1, samples - 1))
                digest.update(file.read(block))
    return digest.hexdigest()


def walk(folder: Path) -> Iterator[tuple[str, int]]:
    """Names relative to the folder, with `/`, and sizes of all files in it that are not hidden, in order of the names.

    Names are compared part by part, character by character; so the order is the same on every machine.

    Raises:
        SourceError: when a folder cannot be read.
    """
    yield from _walk(folder, "")


def _walk(place: Path | str, prefix: str) -> Iterator[tuple[str, int]]:
    # Folder by folder in order of the names, which is the order of all paths, and needs no list of them.
    try:
        with os.scandir(place) as entries:
            found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
            files = {entry.name: _size(entry) for entry in found if not entry.is_dir(follow_symlinks=False)}
    except OSError as error:
        raise SourceError(f"{place}: cannot be listed ({error.strerror}); a part of the data would be lost.") from error
    for entry in found:
        if entry.name in files:
            yield prefix + entry.name, files[entry.name]
        else:
            yield from _walk(entry.path, f"{prefix}{entry.name}/")


def _size(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # a broken link: reading it tells
        return -1
