"""Signs of life: by them each of several processes knows that the others still run, with no connection between them."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from camjax.dataset._hold import Stop
from camjax.dataset._outcome import Outcome
from camjax.dataset._processes import Share

OFTEN = 20  # signs that a process gives while the others have patience
SELDOM = 10.0  # seconds between two signs at most


class Signs:
    """While a process runs, a thread of its own counts on in a file beside the store, and reads the others' files.

    Whose file has not changed for `patience` seconds, by the clock of who reads it, while chunks of his still wait, is
    lost: then the run is asked to stop. Who has done his share is not missed.

    Args:
        store: the store.
        share: this process's.
        patience: in seconds; infinite where processes shall go on without those that are lost.
        chunk: how many examples a chunk has.
        outcomes: reads those of all processes from the store.
        stop: is asked.
    """

    def __init__(
        self, store: Path, share: Share, patience: float, chunk: int, outcomes: Callable[[], np.ndarray], stop: Stop
    ) -> None:
        self._folder = store.with_name(f".{store.name}.signs")
        self._share, self._patience, self._chunk, self._outcomes, self._stop = share, patience, chunk, outcomes, stop
        self._others = [process for process in range(share.processes) if process != share.process]
        self._thread = threading.Thread(target=self._watch, name="camjax-signs", daemon=True)
        self._ended = threading.Event()
        self.lost: tuple[int, ...] = ()

    def __enter__(self) -> Signs:
        if self._others:
            self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._others:
            self._ended.set()
            self._thread.join()
            self._file(self._share.process).unlink(missing_ok=True)
        if self._folder.exists() and not self._waiting():  # also what a killed process left
            shutil.rmtree(self._folder, ignore_errors=True)

    def _watch(self) -> None:
        every = min(SELDOM, self._patience / OFTEN)
        seen = {process: (self._read(process), time.monotonic()) for process in self._others}
        count = 0
        while not self._ended.wait(every if count else 0):
            count += 1
            with contextlib.suppress(OSError):  # a full disk is told of by who writes the chunks
                self._folder.mkdir(exist_ok=True)
                self._file(self._share.process).write_text(f"{os.getpid()} {count}")
            now = time.monotonic()
            for process, (sign, _) in seen.items():
                if (found := self._read(process)) != sign:
                    seen[process] = found, now
            silent = {process for process, (_, at) in seen.items() if now - at > self._patience}
            if silent and (lost := silent & self._waiting()):
                self.lost, self._stop.asked = tuple(sorted(lost)), True
                return

    def _file(self, process: int) -> Path:
        return self._folder / str(process)

    def _read(self, process: int) -> str | None:
        try:
            return self._file(process).read_text()
        except OSError:
            return None

    def _waiting(self) -> set[int]:
        # Those who have chunks to do.
        firsts = np.flatnonzero(self._outcomes()[:: self._chunk] == Outcome.WAITING)
        return set((firsts % self._share.processes).tolist())
