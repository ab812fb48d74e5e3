"""Claim: a gradient method costs one forward pass, and the maps of all 1000 classes hardly more.

    .venv/bin/python benchmarks/costs.py [--networks torchvision:resnet50 ...] [--batches 1 8 32] [--rounds 5]

In units of the same converted network's own compiled forward pass, in the same round: the median over rounds, and the
middle half. The networks have random weights. Heatmaps of the input's size are included, but for the rows of 1000
classes, which are maps of the layer's size (`size=None`; heatmaps of them all would be 1.6 GB).

The first table has the gradient methods at the default layer. "Work" is what they cannot go below: the operations of
the forward pass and of the head's gradient, in forward passes, as XLA counts them before it optimises; it is more than
1 where layers lie behind the one that is explained, as a whole block does in a transformer. They may cost 5% more.

The second has the other methods and options, of ResNet-50 at batch 8. A linear head's gradient is one for all examples
if the classes are; of other heads each class costs a backward pass of the head. Prints both as Markdown and exits with
1 if a median lies above its row's limit.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from _timing import NETWORKS, images, quartiles, seconds


class Row(NamedTuple):
    """What is asked for, and how many forward passes it may cost; None: it is stated, not claimed."""

    name: str
    options: dict[str, Any]
    limit: float | None


GRADIENT = ("GradCAM", "HiResCAM", "LayerCAM", "XGradCAM", "GradCAMPlusPlus")
OVER = 1.05  # times the work


def gradient() -> list[Row]:
    """The gradient methods, each for one class."""
    import camjax

    return [Row(f"`{name}`", {"target": 1, "method": getattr(camjax, name)()}, OVER) for name in GRADIENT]


def others(batch: int) -> list[Row]:
    """Those of the second table."""
    import jax.numpy as jnp

    import camjax

    one, every, found = 1, jnp.arange(1000)[None], []
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


def work(model: Any, x: Any) -> float:
    """The operations of a forward pass and of the head's gradient, in forward passes."""
    import jax

    import camjax

    cut = camjax.split(dataclasses.replace(model, rewrite=False), x)

    def forward(params: Any, x: Any) -> Any:
        return cut.head(params, *cut.features(params, x))

    def explained(params: Any, x: Any) -> Any:
        maps, rest = cut.features(params, x)
        return jax.grad(lambda maps: cut.head(params, maps, rest)[:, 1].sum())(maps)

    one, both = (jax.jit(f).lower(model.params, x).cost_analysis()["flops"] for f in (forward, explained))
    return max(1.0, both / one)


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


def converted(spec: str) -> Any:
    """The network with random weights."""
    import camjax_torch
    import torch
    from camjax_torch import zoo

    torch.manual_seed(0)
    return camjax_torch.from_torch(zoo.entry(spec).make(False, None).eval(), torch.zeros(1, 3, 224, 224))


def main() -> int:
    """Measures, prints the tables and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    import jax
    import jax.numpy as jnp

    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores ({platform.machine()}), jax {jax.__version__}, {time.strftime('%Y-%m-%d')}\n")
    print(f"| network | batch | forward pass | work | {' | '.join(row.name for row in gradient())} |")
    print("|---|---|---|---|" + "---|" * len(GRADIENT))
    holds = True
    for spec in options.networks:
        model = converted(spec)
        for batch in options.batches:
            x = jnp.asarray(images(batch))
            times, least = measured(model, x, gradient(), options.rounds), work(model, x)
            found = [ratios(times, row) for row in gradient()]
            cells = " | ".join(map(quartiles, found))
            taken = statistics.median(times["forward"]) * 1e3
            print(f"| {spec} | {batch} | {taken:.0f} ms | {least:.2f} | {cells} |", flush=True)
            holds &= all(statistics.median(values) <= OVER * least for values in found)
    batch, model = 8, converted("torchvision:resnet50")
    asked = others(batch)
    times = measured(model, jnp.asarray(images(batch)), asked, options.rounds)
    print("\n| torchvision:resnet50, batch 8 | forward passes | at most (claimed) |\n|---|---|---|")
    for row in asked:
        values = ratios(times, row)
        print(f"| {row.name} | {quartiles(values)} | {row.limit or ''} |", flush=True)
        holds &= row.limit is None or statistics.median(values) <= row.limit
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


def ratios(times: dict[str, list[float]], row: Row) -> list[float]:
    """In forward passes of the same round."""
    return [taken / one for taken, one in zip(times[row.name], times["forward"], strict=True)]


if __name__ == "__main__":
    sys.exit(main())
