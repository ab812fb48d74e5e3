"""Claim: on Linux, with huge pages, Grad-CAM of a batch takes at most 0.97 of the time.

    .venv/bin/python benchmarks/pages.py [--networks torchvision:resnet50 ...] [--batch 8] [--repetitions 3]

XLA allocates a program's temporary memory anew in each call, and the system gives it page by page: of 4 kB, or, where
the C library (glibc, 2.35 or later) is told to ask for them, of 2 MB. Each process has the network (random weights),
makes ten calls of a compiled explainer, heatmaps included, and tells their median time and how many pages it was given
in each. Processes with and without `GLIBC_TUNABLES=glibc.malloc.hugetlb=1` take turns; the times are medians of these.
Prints a Markdown table and exits with 1 if the claim does not hold.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from _timing import images, setting
from costs import call, converted

HUGE = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
NETWORKS = ("torchvision:resnet18", "torchvision:resnet50", "torchvision:vgg16", "torchvision:mobilenet_v2")
CALLS, LIMIT = 10, 0.97


class Found(NamedTuple):
    """What one process tells, or the median of several."""

    milliseconds: float
    pages: float


def measured(spec: str, batch: int) -> Found:
    """The median time of a call in this process, and the pages in each."""
    import jax
    import jax.numpy as jnp

    import camjax

    model, x = converted(spec), jnp.asarray(images(batch))
    program, times = jax.jit(camjax.explainer(model, x)), []
    call(program, (model, x, 1))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(CALLS):
        start = time.perf_counter()
        call(program, (model, x, 1))
        times.append(1e3 * (time.perf_counter() - start))
    pages = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return Found(statistics.median(times), pages / CALLS)


def apart(spec: str, batch: int, settings: dict[str, str]) -> Found:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--one", spec, "--batch", str(batch)]
    done = subprocess.run(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True, check=True)
    return Found(*map(float, done.stdout.split()))


def main() -> int:
    """Measures, prints the table and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(*measured(options.one, options.batch))
        return 0

    print(setting("jax", also=f"Linux {os.uname().release}"), end="\n\n")
    print(f"| Grad-CAM, batch {options.batch} | pages of 4 kB | | huge pages | | times as long |\n|{'---|' * 6}")
    holds = True
    for spec in options.networks:
        runs: tuple[list[Found], list[Found]] = ([], [])
        for _ in range(options.repetitions):
            for settings, found in zip(({}, HUGE), runs, strict=True):
                found.append(apart(spec, options.batch, settings))
        small, huge = (Found(*map(statistics.median, zip(*found, strict=True))) for found in runs)
        ratio = huge.milliseconds / small.milliseconds
        cells = " | ".join(f"{found.milliseconds:.0f} ms | {found.pages:.0f} pages" for found in (small, huge))
        print(f"| {spec} | {cells} | {ratio:.2f} |", flush=True)
        holds &= ratio <= LIMIT
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
