"""Names of many examples: as text for whoever asks, in memory as bytes."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload


class Texts(Sequence[str]):
    """Strings as one block of UTF-8 and where each ends: its bytes and 8 more, where a `str` in a list takes 57 more.

    Example:
        >>> names = Texts(["a/1.jpg", "b/2.jpg"])
        >>> names[-1], names[:1]
        ('b/2.jpg', ['a/1.jpg'])
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._data, self._ends = bytearray(), array("q", [0])
        for text in texts:
            self._data += text.encode(errors="surrogateescape")
            self._ends.append(len(self._data))

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        numbers = range(len(self))[index]
        return self._text(numbers) if isinstance(numbers, int) else [self._text(number) for number in numbers]

    def __iter__(self) -> Iterator[str]:
        return map(self._text, range(len(self)))

    def _text(self, number: int) -> str:
        return self._data[self._ends[number] : self._ends[number + 1]].decode(errors="surrogateescape")


class Folders(Sequence[str]):
    """The first folder of each path.

    Example:
        >>> Folders(Texts(["a/1.jpg", "b/c/2.jpg"]))[1]
        'b'
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        found = self._paths[index]
        return found.partition("/")[0] if isinstance(found, str) else [path.partition("/")[0] for path in found]
