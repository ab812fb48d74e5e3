"""Claim: time and memory grow no faster than the work, along each axis: batch, channels, classes, resolution, devices.

    .venv/bin/python benchmarks/scaling.py [--chart scaling.png]

The testbed's network, which takes pictures of any size. Along each axis but that of devices the table has the time of a
call, after compiling, and the temporary memory that the compiled program asks for; and, from one row to the next, how
much more work that is and how much more time it takes. "Channels" are those that Score-CAM evaluates, 32 at a time, so
that its memory stays; "classes" are maps of the layer's size. Devices are simulated on the same processors, which share
the same work: there, the time should stay. Exits with 1 if along an axis the time grows by more than 1.5 times as much
as the work, or the memory by more than 1.2 times.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from _timing import seconds, setting
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import camjax
from camjax import testbed

DEVICES = 8
TIME, MEMORY = 1.5, 1.2


class Point(NamedTuple):
    """What was measured at one place of an axis."""

    at: int
    work: float
    seconds: float
    megabytes: float


def measured(x: Any, target: Any = 0, **options: Any) -> tuple[float, float]:
    """The seconds of a call, and the temporary megabytes of its program."""
    model = jax.device_put(testbed.model(), _replicated(x))
    explain = jax.jit(camjax.explainer(model, x, **options))
    compiled = explain.lower(model, x, target).compile()
    analysis = compiled.memory_analysis()
    run = lambda: jax.block_until_ready(compiled(model, x, target))  # noqa: E731 - what is timed
    run()
    return float(np.median([seconds(run) for _ in range(5)])), analysis.temp_size_in_bytes / 2**20


def _replicated(x: Any) -> Any:
    mesh = getattr(x.sharding, "mesh", None)
    return None if mesh is None else NamedSharding(mesh, PartitionSpec())


def pictures(batch: int, size: int = 64) -> Any:
    """Noise."""
    return jnp.asarray(np.random.default_rng(0).standard_normal((batch, size, size, 3), np.float32))


def over(places: tuple[int, ...]) -> Any:
    """A batch of 64 on as many devices as there are places."""
    mesh = Mesh(np.array([jax.devices()[place] for place in places]), ("data",))
    return jax.device_put(pictures(64), NamedSharding(mesh, PartitionSpec("data")))


def axes() -> Iterator[tuple[str, list[Point]]]:
    """Each axis and its points."""
    yield "batch", [Point(n, n, *measured(pictures(n))) for n in (8, 16, 32, 64, 128)]
    found = ((n, camjax.ScoreCAM(channels=n)) for n in (8, 16, 32, 64))
    yield "channels", [Point(n, n + 1, *measured(pictures(1), method=method)) for n, method in found]
    classes = ((n, jnp.arange(n)[None] % 8) for n in (1, 10, 100, 1000))
    yield "classes", [Point(n, n, *measured(pictures(8), target, size=None)) for n, target in classes]
    yield "resolution", [Point(n, n * n / 1e4, *measured(pictures(1, n))) for n in (224, 448, 672, 1024)]
    yield "devices", [Point(n, 1, *measured(over(tuple(range(n))))) for n in (1, 2, 4, DEVICES)]


def draw(found: dict[str, list[Point]], path: Path) -> None:
    """A panel for each axis: time and memory, both from zero."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(found), figsize=(3 * len(found), 2.6), layout="constrained")
    for panel, (name, points) in zip(panels, found.items(), strict=True):
        places = [point.at for point in points]
        panel.plot(places, [1e3 * point.seconds for point in points], "o-", color="#0a7d5a", label="time, ms")
        panel.plot(places, [point.megabytes for point in points], "s--", color="#c8553d", label="memory, MB")
        panel.set(xlabel=name, ylim=(0, None))
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=80)


def main() -> int:
    """Measures, prints the table and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chart", type=Path)
    options = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", DEVICES)
    print(setting("jax"), end="\n\n")
    print("| axis | at | time | memory | work, from the row before | time |\n|---|---|---|---|---|---|")
    found, holds = {}, True
    for name, points in axes():
        found[name] = points
        for before, point in zip([None, *points], points, strict=False):
            grown = " | "
            if before is not None:
                grown = f"x {point.work / before.work:.2f} | x {point.seconds / before.seconds:.2f}"
            print(
                f"| {name} | {point.at} | {1e3 * point.seconds:.1f} ms | {point.megabytes:.0f} MB | {grown} |",
                flush=True,
            )
        first, last = points[0], points[-1]
        work = last.work / first.work
        holds &= last.seconds / first.seconds <= TIME * work
        holds &= last.megabytes / first.megabytes <= MEMORY * work
    if options.chart is not None:
        draw(found, options.chart)
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
