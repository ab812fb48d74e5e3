"""Chunks into a store: the data first, then the outcomes, each file whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camjax.dataset._chunk import padded, text
from camjax.dataset._layout import COMMIT, LISTED
from camjax.dataset._source import Source
from camjax.dataset._texts import Texts

if TYPE_CHECKING:
    from jaxtyping import UInt8


class WriteError(OSError):
    """A store cannot be written, or no longer: a full disk, a read-only one. What was committed is kept."""


class Writer:
    """A store, open for writing.

    TensorStore writes each chunk to a file of another name, has the disk keep it, and renames it. So a process that
    is killed leaves no half of a chunk, and the same bytes are written however often it was killed.
    """

    def __init__(self, path: Path, arrays: Iterable[str], chunk: int) -> None:
        import tensorstore

        self.path, self._chunk = path, chunk
        # One by one, so that opening them needs no more threads than writing them does.
        self._arrays = {
            name: tensorstore.open(
                {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / name)}}, open=True
            ).result()
            for name in arrays
        }

    def listed(self, source: Source) -> None:
        """Write the names and sizes of all examples.

        Raises:
            WriteError: they cannot be written.
        """
        names, sizes, step = source.names, source.sizes, self._chunk
        for start in range(0, len(source), step):
            rows = slice(start, min(start + step, len(source)))
            values: dict[str, Any] = {}
            if names is not None:
                values["name"] = np.stack([padded(name, self._arrays["name"].shape[1]) for name in names[rows]])
            if sizes is not None:
                values["size"] = np.array(sizes[rows], np.int64)
            with _worded(self.path):
                for future in [self._arrays[name][rows].write(value) for name, value in values.items()]:
                    future.result()

    def names_and_sizes(self) -> tuple[Sequence[str], Sequence[int]]:
        """What `listed` wrote."""

        def names() -> Iterator[str]:
            array = self._arrays["name"]
            for start in range(0, array.shape[0], self._chunk):
                stop = min(start + self._chunk, array.shape[0])
                yield from map(text, np.asarray(array[start:stop].read().result()))

        return Texts(names()), np.asarray(self._arrays["size"].read().result()).tolist()

    def _remove(self, number: int) -> None:
        for name in self._arrays.keys() - set(LISTED):
            place = self.path / name / "c" / str(number)
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)

    def outcomes(self) -> UInt8[np.ndarray, " N"]:
        """What has been written, by all processes."""
        return np.asarray(self._arrays[COMMIT].read().result())

    def commit(self, start: int, values: dict[str, Any]) -> None:
        """Write the chunk that begins at example `start`; when this returns, it is kept.

        Raises:
            WriteError: it cannot be written.
        """
        stop = start + len(values[COMMIT])
        with _worded(self.path):
            if len(values[COMMIT]) < self._chunk:  # TensorStore would merge the last, shorter chunk with what is there
                self._remove(start // self._chunk)
            data = {name: value for name, value in values.items() if name != COMMIT}
            futures = [self._arrays[name][start:stop].write(value) for name, value in data.items()]
            for future in futures:
                future.result()
            self._arrays[COMMIT][start:stop].write(values[COMMIT]).result()


@contextmanager
def _worded(path: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:  # TensorStore's own, for whatever the system said
        code = re.search(r"os_error_code='(\d+)'", str(error))
        if code is None:
            raise
        number = int(code.group(1))
        raise WriteError(number, os.strerror(number), str(path)) from error


def check_writable(path: Path) -> None:
    """That a store can be made there, which permissions alone do not tell.

    Raises:
        WriteError: it cannot.
    """
    probe = path.with_name(f".{path.name}.probe")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise WriteError(error.errno, error.strerror, str(path)) from error
