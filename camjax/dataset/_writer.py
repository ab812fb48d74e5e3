"""Chunks into a store: the data first, then the outcomes, each file whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camjax.dataset._layout import COMMIT, Array

if TYPE_CHECKING:
    from jaxtyping import UInt8


class WriteError(OSError):
    """A store cannot be written, or no longer: a full disk, a read-only one. What was committed is kept."""


class Writer:
    """A store, open for writing.

    TensorStore writes each chunk to a file of another name, has the disk keep it, and renames it. So a process that
    is killed leaves no half of a chunk, and the same bytes are written however often it was killed.
    """

    def __init__(self, path: Path, arrays: list[Array], chunk: int) -> None:
        import tensorstore

        self.path, self._chunk = path, chunk
        # One by one, so that opening them needs no more threads than writing them does.
        self._arrays = {
            array.name: tensorstore.open(
                {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / array.name)}}, open=True
            ).result()
            for array in arrays
        }

    def _remove(self, number: int) -> None:
        for name in self._arrays:
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
        try:
            if len(values[COMMIT]) < self._chunk:  # TensorStore would merge the last, shorter chunk with what is there
                self._remove(start // self._chunk)
            data = {name: value for name, value in values.items() if name != COMMIT}
            futures = [self._arrays[name][start:stop].write(value) for name, value in data.items()]
            for future in futures:
                future.result()
            self._arrays[COMMIT][start:stop].write(values[COMMIT]).result()
        except ValueError as error:  # TensorStore's own, for whatever the system said
            code = re.search(r"os_error_code='(\d+)'", str(error))
            if code is None:
                raise
            number = int(code.group(1))
            raise WriteError(number, os.strerror(number), str(self.path)) from error


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
