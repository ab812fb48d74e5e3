"""Runs that are killed again and again, each a fork of a process that has imported everything and run nothing.

    python -m tests.dataset.killing PICTURES STORE KILLS SEED CHUNK PROCESSES

prints, as JSON, how many runs were killed, and what each run and each of its processes had committed.
"""

import json
import os
import random
import select
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

import grain  # noqa: F401 - what a run imports is imported before the first fork
import tensorstore  # noqa: F401

from camjax import dataset
from tests.dataset.conftest import network

BATCH = 4


def child(pictures, store, chunk, pipe, port, processes, process):
    """One process of a run; it tells what it has committed."""

    def tell(progress):
        os.write(pipe, f"{progress.done}\n".encode())

    if processes > 1:
        dataset.join(f"localhost:{port}", processes, process)
    done = dataset.run(pictures, network(), store, batch=BATCH, chunk=chunk, threads=2, progress=tell)
    os._exit(0 if done.done == done.total else 1)


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def one(work, processes, rng, kill):
    """Forks a run, and kills all of it, while it starts or after a commit; each process's exit status and commits."""
    port, started = free_port(), []
    for process in range(processes):
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(read)
            try:
                child(*work, write, port, processes, process)
            finally:  # an exception, as a child ends by itself otherwise
                traceback.print_exc()
                os._exit(70)
        os.close(write)
        started.append((pid, read))
    told = [b""] * processes
    if kill == "starting":
        # At the latest at the first commit: a fast machine is through with everything within a second.
        select.select([read for _, read in started], [], [], rng.uniform(0, 1.0))
    elif kill == "writing":
        first = rng.randrange(processes)
        while not told[first].endswith(b"\n") and (new := os.read(started[first][1], 64)):
            told[first] += new
    for number in rng.sample(range(processes), processes) if kill else ():
        time.sleep(rng.uniform(0, 0.03))
        os.kill(started[number][0], signal.SIGKILL)
    for number, (_, read) in enumerate(started):
        while new := os.read(read, 4096):
            told[number] += new
        os.close(read)
    return [
        (os.waitpid(pid, 0)[1], [int(line) for line in text.split()])
        for (pid, _), text in zip(started, told, strict=True)
    ]


def main():
    pictures, store, kills, seed, chunk, processes = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
    rng, runs = random.Random(seed), []
    for number in range(kills):
        kill = "starting" if number % 4 == 0 else "writing"
        runs.append(one((pictures, store, chunk), processes, rng, kill))
    last = one((pictures, store, chunk), processes, rng, None)
    killed = sum(os.WIFSIGNALED(status) for run in runs for status, _ in run)
    commits = [[told for _, told in run] for run in [*runs, last]]
    print(json.dumps({"killed": killed, "statuses": [status for status, _ in last], "commits": commits}))


if __name__ == "__main__":
    main()
