"""Several processes, on one machine or many, at one store: who does what, without a word between them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import jax

PATIENCE = 300.0  # seconds in which all processes must have come, and in which each must give a sign of life


class Share(NamedTuple):
    """The part of the work that is this process's own: chunk `n` is that of process `n % processes`.

    It depends on nothing that changes while processes run, so that no chunk is done twice, and none by nobody.
    """

    process: int = 0
    processes: int = 1

    @classmethod
    def own(cls) -> Share:
        """As jax numbers the processes; one of one where it knows of no others."""
        return cls(jax.process_index(), jax.process_count())

    def has(self, chunk: int) -> bool:
        """Whether a chunk is this process's."""
        return chunk % self.processes == self.process


def join(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> Share:
    """Meets the other processes of a run, before anything else of jax is used; each then calls `run` as if alone.

    They find out how many they are (`jax.distributed.initialize`), and part: since examples have nothing to do with
    each other, nothing is exchanged while they run. When one dies, the others stop after the `patience` of `run`, or go
    on with their own share; its chunks wait until the same command is given again, to as many or to another number.

    Args:
        coordinator: address and port of process 0; None where the cluster says it (TPU pods, Slurm, Open MPI).
        processes: how many there are; None likewise.
        process: which this one is; None likewise.

    Raises:
        RuntimeError: from jax, when the others do not come within 300 seconds, or jax was used before.
    """
    jax.distributed.initialize(coordinator, processes, process, initialization_timeout=int(PATIENCE))
    share = Share.own()  # which makes jax look at the devices, all of them together
    jax.distributed.shutdown()
    return share


def await_store(path: Path) -> None:
    """Waits until process 0 has made the store.

    Raises:
        ValueError: it has not.
    """
    end = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            raise ValueError(
                f"{path}: process 0 has not made this store within {PATIENCE:.0f} seconds; is the folder shared by all "
                "processes?"
            )
        time.sleep(0.1)
