"""Claim: a gradient method costs one forward pass, and the maps of all 1000 classes hardly more.

    .venv/bin/python benchmarks/costs.py [--networks torchvision:resnet50 ...] [--batch 8] [--rounds 9]

In units of the same converted network's own compiled forward pass, in the same round: the median over rounds, and the
middle half. The networks have random weights. Heatmaps of the input's size are included, but for the rows of 1000
classes, which are maps of the layer's size (`size=None`; heatmaps of them all would be 1.6 GB). A linear head's
gradient is one for all examples if the classes are; of other heads each class costs a backward pass of the head.
Prints a Markdown table and exits with 1 if a median lies above its row's limit.
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from _timing import images, quartiles, seconds


class Row(NamedTuple):
    """What is asked for, and how many forward passes it may cost; None: it is stated, not claimed."""

    name: str
    options: dict[str, Any]
    limit: float | None


def rows(batch: int) -> list[Row]:
    """Those of the table."""
    import jax.numpy as jnp

    import camjax

    one, every = 1, jnp.arange(1000)[None]
    gradient = ("GradCAM", "HiResCAM", "LayerCAM", "XGradCAM", "GradCAMPlusPlus")
    found = [Row(f"`{name}`", {"target": one, "method": getattr(camjax, name)()}, 1.05) for name in gradient]
    for name, limit in (("EigenCAM", 1.1), ("EigenGradCAM", 1.1), ("AblationCAM", 1.5), ("ReciproCAM", None)):
        found.append(Row(f"`{name}`", {"target": one, "method": getattr(camjax, name)()}, limit))
    own = (every + 7 * jnp.arange(batch)[:, None]) % 1000
    return [
        *found,
        Row("Grad-CAM, all 1000 classes", {"target": every, "size": None}, 1.2),
        Row("Grad-CAM, 1000 classes in an order of each example's own", {"target": own, "size": None}, 1.5),
        Row("Grad-CAM, 10 classes, with heatmaps", {"target": every[:, :10]}, None),
        Row('Grad-CAM, four layers (`"stages"`)', {"target": one, "layer": "stages"}, None),
        Row("Grad-CAM, flipped, too: two forward passes", {"target": one, "smoothing": camjax.Smoothing(True)}, 2.1),
    ]


def measured(model: Any, x: Any, asked: list[Row], rounds: int) -> dict[str, list[float]]:
    """The seconds of each row, and of the bare "forward" pass, in turns."""
    import jax

    import camjax

    cut = camjax.split(model, x)
    forward = jax.jit(lambda params, x: cut.head(params, *cut.features(params, x)))
    runs: dict[str, Callable[[], Any]] = {"forward": lambda: jax.block_until_ready(forward(model.params, x))}
    for row in asked:
        explain = functools.partial(camjax.explain, model, x, strict=False, **row.options)
        runs[row.name] = lambda explain=explain: jax.block_until_ready(explain())
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(seconds(run))
    return times


def main() -> int:
    """Measures, prints the table and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=["torchvision:resnet50"])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()

    import camjax_torch
    import jax
    import jax.numpy as jnp
    import torch
    from camjax_torch import zoo

    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores ({platform.machine()}), jax {jax.__version__}, {time.strftime('%Y-%m-%d')}")
    holds = True
    for spec in options.networks:
        torch.manual_seed(0)
        model = camjax_torch.from_torch(zoo.entry(spec).make(False, None).eval(), torch.zeros(1, 3, 224, 224))
        asked = rows(options.batch)
        times = measured(model, jnp.asarray(images(options.batch)), asked, options.rounds)
        forward = times["forward"]
        print(f"\n{spec}, batch {options.batch}, forward pass {statistics.median(forward) * 1e3:.0f} ms\n")
        print("| | forward passes | at most (claimed) |\n|---|---|---|")
        for row in asked:
            ratios = [taken / one for taken, one in zip(times[row.name], forward, strict=True)]
            print(f"| {row.name} | {quartiles(ratios)} | {row.limit or ''} |", flush=True)
            holds &= row.limit is None or statistics.median(ratios) <= row.limit
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
