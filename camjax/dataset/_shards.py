"""What sources of many pictures in few files have in common: bytes at known places."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from camjax.dataset._outcome import Outcome
from camjax.dataset._source import RecordError, Source, shards


class Place(NamedTuple):
    """Where bytes lie: the shard's number, the offset and the length in it."""

    shard: int
    offset: int
    size: int


class Table:
    """Many places, in three columns of whole numbers: 24 bytes for each. There may be none for an example."""

    def __init__(self) -> None:
        self._columns = array("q"), array("q"), array("q")

    def append(self, place: Place | None) -> None:
        """That of the next example."""
        for column, number in zip(self._columns, place or (-1, 0, 0), strict=True):
            column.append(number)

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, index: int) -> Place | None:
        place = Place(*(column[index] for column in self._columns))
        return None if place.shard < 0 else place

    @property
    def empty(self) -> bool:
        """Whether there is none for any example."""
        return not self or max(self._columns[0]) < 0


class Shards(Source):
    """Files that are read at known places. A file is opened for each example: threads share no open one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = [Path(path).absolute() for path in paths]
        self.fingerprint = shards(self.paths)

    def read(self, place: Place) -> bytes:
        """The bytes there.

        Raises:
            RecordError: the file is gone, cannot be read or has become shorter.
        """
        try:
            with self.paths[place.shard].open("rb", buffering=0) as file:
                data = os.pread(file.fileno(), place.size, place.offset)
        except FileNotFoundError as error:
            raise RecordError(
                Outcome.MISSING, f"{self.paths[place.shard].name}: no such file; it was there."
            ) from error
        except OSError as error:
            raise RecordError(
                Outcome.UNREADABLE, f"{self.paths[place.shard].name}: cannot be read ({error.strerror})."
            ) from error
        if len(data) < place.size:
            raise RecordError(Outcome.DAMAGED, f"{self.paths[place.shard].name} ends in the middle of this record.")
        return data
