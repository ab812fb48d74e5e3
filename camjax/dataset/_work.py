"""The loop of a run: while the devices compute a batch, the next ones are read, and the one before is stored."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from camjax.dataset._chunk import Chunk
from camjax.dataset._feed import Batch
from camjax.dataset._hold import Stop
from camjax.dataset._layout import COMMIT, Array
from camjax.dataset._outcome import Outcome
from camjax.dataset._program import Answers, Program
from camjax.dataset._source import Source
from camjax.dataset._writer import Writer

AHEAD = 2  # batches that are being computed while the host looks at the one before


class Progress(NamedTuple):
    """How far a run is: so many of `total` examples have an outcome, `here` of them by this process just now.

    `stopped`: whether it was asked to stop; `lost`: because these other processes gave no sign of life.
    """

    total: int
    outcomes: dict[Outcome, int]
    here: int
    seconds: float
    stopped: bool = False
    lost: tuple[int, ...] = ()

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


class Work:
    """The loop of a run: inputs to the devices, their answers to the chunk, a full chunk to the store.

    A thread of its own writes a chunk while the devices compute the first batches of the next, which are not looked at
    before: so a process that is killed has to do one chunk again, and the batches that were being computed.

    Args:
        program: computes.
        writer: keeps.
        arrays: those of the store.
        source: the examples.
        chunk: how many are written at once.
        refusal: what a method says that does not apply.
        strict: whether to stop at the first example that cannot be explained.
        outcomes: of this process's share, when it begins.
        progress: is called after each chunk.
    """

    def __init__(
        self,
        program: Program,
        writer: Writer,
        arrays: list[Array],
        source: Source,
        chunk: int,
        refusal: str,
        strict: bool,
        outcomes: np.ndarray,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._program, self._writer, self._arrays, self._source = program, writer, arrays, source
        self._size, self._refusal, self._strict, self._progress = chunk, refusal, strict, progress
        self._total, self._counts, self._here = len(outcomes), Counter(outcomes.tolist()), 0
        self._running: deque[tuple[Batch, Answers]] = deque()
        self._chunk: Chunk | None = None
        self._writing: tuple[Chunk, Future[None]] | None = None

    def __call__(self, found: Iterator[Batch], stop: Stop) -> Progress:
        self._began = time.monotonic()
        with ThreadPoolExecutor(1, "camjax-writer") as thread:
            for batch in found:
                self._start(batch)
                if len(self._running) > AHEAD and self._finish(thread, stop) and stop.asked:
                    break
            else:
                while self._running and not (self._finish(thread, stop) and stop.asked):
                    pass
            self._settle(stop)
        return self._now(stop)

    def _start(self, batch: Batch) -> None:
        ids = np.arange(batch.start, batch.start + len(batch.x), dtype=np.int32)
        self._running.append((batch, self._program(batch.x, batch.label, ids)))

    def _finish(self, thread: ThreadPoolExecutor, stop: Stop) -> bool:
        # The oldest batch that is being computed; whether it was the last of its chunk.
        self._settle(stop)
        batch, answers = self._running.popleft()
        kept = {name: np.asarray(value) for name, value in answers._asdict().items() if value is not None}
        chunk = self._chunk = self._chunk or Chunk(
            self._arrays, batch.start, min(self._size, len(self._source) - batch.start)
        )
        failed = chunk.fill(batch, kept, self._refusal)
        if failed and self._strict:
            index, reason = failed[0]
            raise StrictError(f"{self._source.name(index)} (number {index}): {reason}")
        if chunk.full:
            self._writing = chunk, thread.submit(self._writer.commit, chunk.start, chunk.values)
            self._chunk = None
        return self._chunk is None

    def _settle(self, stop: Stop) -> None:
        # Waits until the chunk that is being written is kept, and tells of it.
        if self._writing is None:
            return
        (chunk, kept), self._writing = self._writing, None
        kept.result()
        self._counts.update(chunk.values[COMMIT].tolist())
        self._counts[int(Outcome.WAITING)] -= chunk.size
        self._here += chunk.size
        if self._progress is not None:
            self._progress(self._now(stop))

    def _now(self, stop: Stop) -> Progress:
        outcomes = {Outcome(value): count for value, count in sorted(self._counts.items()) if count}
        return Progress(self._total, outcomes, self._here, time.monotonic() - self._began, stop.asked)
