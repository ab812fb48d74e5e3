"""WebDataset's tar shards."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from camjax.dataset._outcome import Outcome
from camjax.dataset._shards import Place, Shards, Table
from camjax.dataset._source import Record, RecordError, SourceError
from camjax.dataset._texts import Texts
from camjax.images import SUFFIXES


class Tar(Shards):
    """WebDataset: tar files in which the members with the same name up to the first dot are one example.

    The member with a picture's suffix is the picture, that ending in `cls` or `label` its class, a number or a name.
    The order is that of the shards, and in a shard that of the examples' first members. The tars are indexed once,
    without reading the pictures; compressed ones cannot be read at random and are refused.

    Raises:
        SourceError: no tar file, a compressed one, or one without pictures.

    Example:
        >>> import io, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with tarfile.open(f"{folder}/a.tar", "w") as tar:
        ...         for name, data in (("7.ppm", b"P6 1 1 255 abc"), ("7.cls", b"3")):
        ...             member = tarfile.TarInfo(name)
        ...             member.size = len(data)
        ...             tar.addfile(member, io.BytesIO(data))
        ...     source = Tar([Path(folder, "a.tar")])
        ...     record = source[0]
        >>> list(source.names), record.label, record.image[:2]
        (['a.tar/7'], 3, b'P6')
    """

    kind = "tar"

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__(paths)
        self._images, self._labels = Table(), Table()
        self.names = Texts(self._indexed())
        if self._images.empty:
            raise SourceError(f"{', '.join(path.name for path in self.paths[:3])}: there is no picture, by the suffix.")

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Record:
        image, label = self._images[index], self._labels[index]
        if image is None:
            raise RecordError(Outcome.RECORD, "the tar has a label for this name, but no picture.")
        text = None if label is None else self.read(label).decode(errors="replace").strip()
        whole = text is not None and text.isascii() and text.removeprefix("-").isdigit()
        return Record(self.read(image), int(text) if text is not None and whole else text or None)

    def _indexed(self) -> Iterator[str]:
        # The examples' names; their places go to the tables.
        for number, path in enumerate(self.paths):
            for key, (image, label) in _members(number, path).items():
                self._images.append(image)
                self._labels.append(label)
                yield f"{path.name}/{key}"


def _members(number: int, path: Path) -> dict[str, tuple[Place | None, Place | None]]:
    found: dict[str, tuple[Place | None, Place | None]] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                folder, _, base = member.name.rpartition("/")
                stem, _, suffix = base.partition(".")
                if not member.isfile() or not stem:
                    continue
                key = f"{folder}/{stem}" if folder else stem
                place = Place(number, member.offset_data, member.size)
                image, label = found.get(key, (None, None))
                if f".{suffix.rpartition('.')[2].lower()}" in SUFFIXES:
                    found[key] = (image or place, label)
                elif suffix.rpartition(".")[2].lower() in ("cls", "label"):
                    found[key] = (image, label or place)
    except (tarfile.TarError, OSError) as error:
        raise SourceError(f"{path}: cannot be read as a tar file without compression ({error}).") from error
    return found
