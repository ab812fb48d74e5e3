"""The loop of a run: while the devices compute a batch, the next ones are read, and the one before is stored."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from camjax.dataset._chunk import Chunk
from camjax.dataset._feed import Batch
from camjax.dataset._hold import Stop
from camjax.dataset._layout import COMMIT, Array
from camjax.dataset._outcome import Outcome
from camjax.dataset._program import Program
from camjax.dataset._source import Source
from camjax.dataset._writer import Writer

AHEAD = 2  # batches that are being computed while the host looks at the one before


class Progress(NamedTuple):
    """How far a run is: so many of `total` examples have an outcome, `here` of them by this process just now."""

    total: int
    outcomes: dict[Outcome, int]
    here: int
    seconds: float
    stopped: bool = False

    @property
    def done(self) -> int:
        """How many examples have an outcome."""
        return sum(count for outcome, count in self.outcomes.items() if outcome is not Outcome.WAITING)

    @property
    def failed(self) -> int:
        """How many of them could not be explained."""
        return self.done - self.outcomes.get(Outcome.EXPLAINED, 0)


class StrictError(Exception):
    """With `strict`: the first example that cannot be explained, and why."""


@dataclasses.dataclass
class Work:
    """The loop of a run: inputs to the devices, their answers to the chunk, a full chunk to the store."""

    program: Program
    writer: Writer
    arrays: list[Array]
    source: Source
    chunk: int
    refusal: str
    strict: bool
    outcomes: np.ndarray  # of this process's share, when it begins

    def __call__(self, found: Iterator[Batch], stop: Stop, progress: Callable[[Progress], None] | None) -> Progress:
        counts = Counter(self.outcomes.tolist())
        began, here = time.monotonic(), 0
        running: deque[Any] = deque()
        chunk: Chunk | None = None

        def now() -> Progress:
            outcomes = {Outcome(value): count for value, count in sorted(counts.items()) if count}
            return Progress(len(self.outcomes), outcomes, here, time.monotonic() - began, stop.asked)

        def finish() -> bool:
            # The oldest batch that is being computed; whether it was the last of its chunk.
            nonlocal chunk, here
            batch, answers = running.popleft()
            if chunk is None:
                chunk = Chunk(self.arrays, batch.start, min(self.chunk, len(self.source) - batch.start))
            failed = chunk.fill(batch, self._kept(answers), self.refusal)
            if failed and self.strict:
                index, reason = failed[0]
                raise StrictError(f"{self.source.name(index)} (number {index}): {reason}")
            if not chunk.full:
                return False
            self.writer.commit(chunk.start, chunk.values)
            counts.update(chunk.values[COMMIT].tolist())
            counts[int(Outcome.WAITING)] -= chunk.size
            here, chunk = here + chunk.size, None
            if progress is not None:
                progress(now())
            return True

        for batch in found:
            ids = np.arange(batch.start, batch.start + len(batch.x), dtype=np.int32)
            running.append((batch, self.program(batch.x, batch.label, ids)))
            if len(running) > AHEAD and finish() and stop.asked:
                return now()
        while running:
            if finish() and stop.asked:
                break
        return now()

    def _kept(self, answers: Any) -> dict[str, np.ndarray]:
        found = {name: value for name, value in answers._asdict().items() if value is not None}
        return {name: np.asarray(value) for name, value in found.items()}
