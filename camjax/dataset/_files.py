"""Sources of picture files: a folder tree, and a list of paths."""

from __future__ import annotations

import copy
import csv
import json
import os
import stat
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from camjax.dataset._outcome import Outcome
from camjax.dataset._source import Record, RecordError, Source, SourceError, fingerprint, walk
from camjax.dataset._texts import Folders, Texts
from camjax.images import SUFFIXES


class _Files(Source):
    # Pictures that are files of their own, by their paths relative to a root.
    root: Path

    def __len__(self) -> int:
        return len(self.names or ())

    def __getitem__(self, index: int) -> Record:
        try:
            data = _content(os.path.join(self.root, self.name(index)))
        except FileNotFoundError as error:
            raise RecordError(Outcome.MISSING, "no such file; it was there when the run began.") from error
        except OSError as error:
            raise RecordError(Outcome.UNREADABLE, f"cannot be read ({error.strerror}).") from error
        return Record(data, None if self.labels is None else self.labels[index])


def _content(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # so that opening a pipe waits for nobody
    try:
        state = os.fstat(file)
        if not stat.S_ISREG(state.st_mode):
            raise RecordError(Outcome.UNREADABLE, "is a folder, a pipe or a device, not a file.")
        parts = []
        while part := os.read(file, state.st_size + 1):  # a system may give less than it was asked for
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(file)


class Folder(_Files):
    """The pictures in a folder and in its folders, in the order of their relative paths.

    Files count by their suffix; hidden ones do not. Where every picture lies in a folder of the folder, these
    are taken for classes: their names are the labels. Links to folders are not followed.

    Raises:
        SourceError: there is no picture, or a folder cannot be read.

    Example:
        >>> import tempfile, PIL.Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("star", "disc"):
        ...         Path(folder, name).mkdir()
        ...         PIL.Image.new("RGB", (4, 4)).save(f"{folder}/{name}/1.png")
        ...     source = Folder(folder)
        >>> list(source.names), list(source.labels)
        (['disc/1.png', 'star/1.png'], ['disc', 'star'])
    """

    kind = "folder"

    def __init__(self, folder: str | Path) -> None:
        self.root = Path(folder).absolute()
        self._take((name, size) for name, size in walk(self.root) if os.path.splitext(name)[1].lower() in SUFFIXES)
        if not len(self):
            raise SourceError(f"{folder}: there is no picture in this folder, by the suffix.")

    def continued(self, names: Sequence[str], sizes: Sequence[int]) -> Source:
        """This folder with the files that are gone since the run began: each is an example that is missing."""
        found = copy.copy(self)
        found._take(zip(names, sizes, strict=True))
        before = found._listed()
        return found if all(file in before for file in self._listed()) else self  # both are in the same order

    def _listed(self) -> Iterator[tuple[str, int]]:
        return zip(self.names or (), self.sizes or (), strict=True)

    def _take(self, files: Iterable[tuple[str, int]]) -> None:
        self.sizes = sizes = array("q")

        def names() -> Iterator[str]:
            for name, size in files:
                sizes.append(size)
                yield name

        self.names = Texts(names())
        self.labels = Folders(self.names) if all("/" in name for name in self.names) else None
        self.fingerprint = fingerprint(self._listed())


class Listed(_Files):
    """The pictures that a file lists, in its order: CSV with a header, or JSON lines.

    A row's `path` is relative to the list's own folder; `label`, a class's number or name, may be missing or
    empty. Other columns are left alone.

    Raises:
        SourceError: there is no row, or a row has no path.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "list.csv").write_text("path,label\\na.jpg,3\\nb.jpg,star\\n")
        ...     source = Listed(f"{folder}/list.csv")
        >>> list(source.names), source.labels
        (['a.jpg', 'b.jpg'], [3, 'star'])
    """

    kind = "list"

    def __init__(self, path: str | Path) -> None:
        path = Path(path).absolute()
        self.root = path.parent
        rows = _json_lines(path) if path.suffix.lower() in (".jsonl", ".ndjson") else _csv(path)
        labels: list[int | str | None] = []

        def names() -> Iterator[str]:
            for number, row in rows:
                name = row.get("path")
                if not isinstance(name, str) or not name:
                    columns = ", ".join(row) or "none"
                    raise SourceError(f"{path}, line {number}: has no 'path'; its columns are {columns}.")
                labels.append(_label(row.get("label")))
                yield name

        self.names = Texts(names())
        if not len(self):
            raise SourceError(f"{path}: lists no picture.")
        self.labels = labels if any(label is not None for label in labels) else None
        self.fingerprint = fingerprint((f"{n}\0{label}", 0) for n, label in zip(self.names, labels, strict=True))


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            for row in reader:
                yield reader.line_num, {k: v for k, v in row.items() if isinstance(k, str)}
        except (csv.Error, UnicodeDecodeError) as error:
            raise SourceError(f"{path}: is no CSV file in UTF-8 ({error}).") from error


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise SourceError(f"{path}, line {number}: is no JSON ({error}).") from error
            if not isinstance(row, dict):
                raise SourceError(f"{path}, line {number}: is no JSON object with a 'path'.")
            yield number, row


def _label(value: Any) -> int | str | None:
    # A whole number is always a class's number, anything else a name; as for `--target`.
    if value is None or value == "":
        return None
    text = str(value)
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() else sys.intern(text)
