"""The rows of one chunk, filled batch by batch on the host."""

from __future__ import annotations

from typing import Any

import numpy as np

from camjax.dataset._feed import Batch
from camjax.dataset._layout import COMMIT, DETAIL, LISTED, Array
from camjax.dataset._outcome import OF_STATUS, Outcome


class Chunk:
    """The arrays of a store for `size` examples from `start` on; what is not filled has the arrays' fill value."""

    def __init__(self, arrays: list[Array], start: int, size: int) -> None:
        self.start, self.size, self._filled = start, size, 0
        arrays = [array for array in arrays if array.name not in LISTED]
        self._fill = {array.name: np.float32(np.nan) if array.fill == "NaN" else array.fill for array in arrays}
        self.values = {a.name: np.full((size, *a.shape), self._fill[a.name], a.dtype) for a in arrays}

    @property
    def full(self) -> bool:
        """Whether every row has been filled."""
        return self._filled == self.size

    def fill(self, batch: Batch, answers: dict[str, Any], refusal: str) -> list[tuple[int, str]]:
        """Puts a batch in its place.

        Returns:
            The index and the reason of each example that could not be explained.
        """
        first = batch.start - self.start
        count = min(len(batch.x), self.size - first)
        rows = slice(first, first + count)
        for name, value in answers.items():
            self.values[name][rows] = value[:count]
        outcome, detail = batch.outcome[:count].copy(), batch.detail[:count]
        unread = outcome != Outcome.EXPLAINED
        status = answers["status"][:count]
        for bit, meaning in OF_STATUS:
            hit = (outcome == Outcome.EXPLAINED) & (status & int(bit) != 0).any(tuple(range(1, status.ndim)))
            outcome[hit] = meaning
        for name in answers:  # of zeros in the place of an example
            self.values[name][rows][unread] = self._fill[name]
        self.values[COMMIT][rows] = outcome
        if "label" in self.values:
            self.values["label"][rows] = batch.label[:count]
        failed = []
        for row in np.flatnonzero(outcome != Outcome.EXPLAINED):
            of = Outcome(outcome[row])
            text = detail[row] or (refusal if of is Outcome.NOT_APPLICABLE else f"{of.words}.")
            self.values["detail"][first + row] = padded(text, DETAIL)
            failed.append((batch.start + int(row), text))
        self._filled += count
        return failed


def padded(text: str, size: int) -> np.ndarray:
    """UTF-8, as long as it fits, and zeros.

    >>> bytes(padded("abc", 5)), bytes(padded("aä", 2))
    (b'abc\\x00\\x00', b'a\\x00')
    """
    data = text.encode(errors="surrogateescape")
    if len(data) > size:  # not in the middle of a character
        data = data[:size].decode(errors="ignore").encode()
    return np.frombuffer(data.ljust(size, b"\0"), np.uint8)


def text(data: np.ndarray) -> str:
    """The inverse of `padded`."""
    return bytes(data).rstrip(b"\0").decode(errors="surrogateescape")
