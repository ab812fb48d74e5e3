"""What a running process holds: its store, so that no other writes it, and the signals that ask it to stop."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no advisory locks of this kind
    fcntl = None


@contextlib.contextmanager
def held(store: Path) -> Iterator[None]:
    """The store for this process alone. The system lets go of it when the process ends, however it ends.

    Raises:
        ValueError: another process has it.
    """
    with _opened(store) as file:
        for _ in range(3):  # `running` has it, for a moment
            if file is None or _lock(file):
                break
            time.sleep(0.1)
        else:
            raise ValueError(f"{store}: another process is writing this store; wait for it, or stop it.")
        yield


def running(store: Path) -> bool:
    """Whether a process on this machine has the store."""
    with _opened(store) as file:
        return file is not None and not _lock(file)


@contextlib.contextmanager
def _opened(store: Path) -> Iterator[int | None]:
    if fcntl is None:
        yield None
        return
    file = os.open(store, os.O_RDONLY)
    try:
        yield file
    finally:
        os.close(file)


def _lock(file: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network file systems cannot lock a folder; then two processes would write the same bytes twice.
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


class Stop:
    """Whether the process has been asked to stop: by SIGTERM, or by control-C. Asked again, it stops at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():  # others may not set handlers
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: Any) -> None:
        self.asked = True
        signal.signal(number, self._before[number])
