"""TFRecord and ArrayRecord files."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from camjax.dataset._example_proto import EXAMPLE, features
from camjax.dataset._outcome import Outcome
from camjax.dataset._shards import Place, Shards, Table
from camjax.dataset._source import Record, RecordError, Source, SourceError, shards


class TFRecord(Shards):
    """TFRecord files of `tf.train.Example`s with an encoded picture, or of encoded pictures as they are.

    Of an Example, `image/encoded` (or `image`, `image_raw`, `jpeg`, `png`) is the picture, and `image/class/label` (or
    `label`, `class`) its class. The files are indexed once by the lengths in them; a record whose checksum does not fit
    is a row with this reason.

    Raises:
        SourceError: no TFRecord file, or one that ends in the middle of a record.
    """

    kind = "tfrecord"

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__(paths)
        self._places = Table()
        for number, path in enumerate(self.paths):
            for place in _frames(number, path):
                self._places.append(place)
        if self._places.empty:
            raise SourceError(f"{', '.join(path.name for path in self.paths[:3])}: there is no record.")

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Record:
        from google_crc32c import value as crc32c

        place = self._places[index]
        assert place is not None  # every record has one
        framed = self.read(place)
        data, (stored,) = framed[:-4], struct.unpack("<I", framed[-4:])
        crc = crc32c(data)
        if stored != (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF):  # the format's "masked" checksum
            raise RecordError(Outcome.DAMAGED, "the record's checksum does not fit its content.")
        return _example(data)


class ArrayRecord(Source):
    """ArrayRecord files of `tf.train.Example`s with an encoded picture, or of encoded pictures as they are.

    Raises:
        SourceError: the files cannot be read as such.
    """

    kind = "arrayrecord"

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = [str(Path(path).absolute()) for path in paths]
        self.fingerprint = shards([Path(path) for path in self.paths])
        try:
            self._records: Any = _array_records(self.paths)
        except Exception as error:  # the reader raises what its C++ half tells
            raise SourceError(f"{self.paths[0]}: cannot be read as an ArrayRecord file ({error}).") from error
        if not len(self._records):
            raise SourceError(f"{self.paths[0]}: there is no record.")

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Record:
        try:
            data = self._records[index]
        except Exception as error:
            raise RecordError(Outcome.DAMAGED, f"the record cannot be read: {error}") from error
        return _example(data)


def _array_records(paths: Sequence[str]) -> Any:
    import grain

    return grain.sources.ArrayRecordDataSource(list(paths))


def _example(data: bytes) -> Record:
    if not EXAMPLE.match(data):
        return Record(data)
    try:
        image, label = features(data)
    except ValueError as error:
        raise RecordError(Outcome.RECORD, f"{error}.") from error
    return Record(image, label)


def _frames(number: int, path: Path) -> Iterator[Place]:
    # A frame is a length (8 bytes), its checksum (4), the data and their checksum (4); the last two are what is read.
    size, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            head = file.read(12)
            length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else size
            if offset + 16 + length > size:
                raise SourceError(f"{path}: is no TFRecord file, or is truncated at byte {offset}.")
            yield Place(number, offset + 12, length + 4)
            offset += 16 + length
