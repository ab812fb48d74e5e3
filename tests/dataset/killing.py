"""Runs that are killed again and again, each a fork of a process that has imported everything and run nothing.

    python -m tests.dataset.killing PICTURES STORE KILLS SEED CHUNK

prints, as JSON, after how many examples each run died and which chunks it had committed.
"""

import json
import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

import grain  # noqa: F401 - what a run imports is imported before the first fork
import tensorstore  # noqa: F401

from camjax import dataset
from tests.dataset.conftest import network

BATCH = 4


def child(pictures, store, chunk, pipe):
    """One run; it tells what it has committed."""

    def tell(progress):
        os.write(pipe, f"{progress.done}\n".encode())

    done = dataset.run(pictures, network(), store, batch=BATCH, chunk=chunk, threads=2, progress=tell)
    os._exit(0 if done.done == done.total else 1)


def one(pictures, store, chunk, rng, kill):
    """Forks a run, and kills it: while it starts, or some time after a commit; `(exit status, commits)`."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            child(pictures, store, chunk, write)
        finally:
            os._exit(70)  # an exception: its traceback is on the error stream
    os.close(write)
    told = b""
    if kill == "starting":
        time.sleep(rng.uniform(0, 1.0))
    elif kill == "writing":
        while not told.endswith(b"\n") and (new := os.read(read, 64)):
            told += new
        time.sleep(rng.uniform(0, 0.03))
    if kill:
        os.kill(pid, signal.SIGKILL)
    while new := os.read(read, 4096):
        told += new
    os.close(read)
    return os.waitpid(pid, 0)[1], [int(line) for line in told.split()]


def main():
    pictures, store, kills, seed, chunk = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
    rng, commits, killed = random.Random(seed), [], 0
    for number in range(kills):
        status, told = one(pictures, store, chunk, rng, "starting" if number % 4 == 0 else "writing")
        killed += os.WIFSIGNALED(status)
        commits.append(told)
    status, told = one(pictures, store, chunk, rng, None)
    print(json.dumps({"killed": killed, "status": status, "commits": [*commits, told]}))


if __name__ == "__main__":
    warnings.simplefilter("error")
    main()
