"""Claim: a gradient method costs one forward pass, and the maps of all 1000 classes hardly more.

    .venv/bin/python benchmarks/costs.py [--networks torchvision:resnet50 ...] [--batches 1 8 32] [--seconds 30]

In units of the same converted network's own compiled forward pass, in the same round: the median over rounds, and the
middle half. There are as many rounds as fit into so many seconds, three at least, and each begins with another program.
The networks have random weights. What is measured are compiled explainers, heatmaps of the input's size included, but
for the rows of 1000 classes, which are maps of the layer's size (`size=None`; heatmaps of them all would be 1.6 GB).
What a call of `camjax.explain` adds in Python is in `breakdown.py`.

The first table has the gradient methods at the default layer. They cannot go below "least": a forward pass and the
gradient of the head, which is measured by itself. It reads the head's weights again, which takes time where these are
many and the batch is small, and it goes back through a part of a block in a transformer. They may cost 5% more.

The second has the other methods and options, of ResNet-50 at batch 8. A linear head's gradient is one for all examples
if the classes are; of other heads each class costs a backward pass of the head, whose products are taken for all of
them at once: the third table tells, for the networks with such heads, how many times the time of one class's gradient
(the head's forward pass included) 100 classes take beside the forward pass. The gradient at several layers goes back to
the first of them, so "least" is measured for that. Prints them as Markdown and exits with 1 if a median lies above its
row's limit.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from _timing import NETWORKS, images, quartiles, seconds, setting


class Row(NamedTuple):
    """What is asked for, and how many forward passes it may cost; None: it is stated, not claimed."""

    name: str
    target: Any
    options: dict[str, Any]
    limit: float | None


GRADIENT = ("GradCAM", "HiResCAM", "LayerCAM", "XGradCAM", "GradCAMPlusPlus")
OVER = 1.05  # times the least
ROUNDS = 3  # at least
FOUR = ("layer1", "layer2", "layer3", "layer4")
NOT_AFFINE = ("torchvision:vgg16", "torchvision:convnext_tiny", "timm:vit_small_patch16_224")


def gradient() -> list[Row]:
    """The gradient methods, each for one class."""
    import camjax

    return [Row(f"`{name}`", 1, {"method": getattr(camjax, name)()}, OVER) for name in GRADIENT]


def others(batch: int) -> list[Row]:
    """Those of the second table."""
    import jax.numpy as jnp

    import camjax

    every, found = jnp.arange(1000)[None], []
    for name, limit in (("EigenCAM", 1.1), ("EigenGradCAM", 1.1), ("AblationCAM", 1.5), ("ReciproCAM", None)):
        found.append(Row(f"`{name}`", 1, {"method": getattr(camjax, name)()}, limit))
    own = (every + 7 * jnp.arange(batch)[:, None]) % 1000
    return [
        *found,
        Row("Grad-CAM, all 1000 classes", every, {"size": None}, 1.2),
        Row("Grad-CAM, 1000 classes in an order of each example's own", own, {"size": None}, 1.5),
        Row("Grad-CAM, 10 classes, with heatmaps", every[:, :10], {}, None),
        Row("Grad-CAM, flipped, too: two forward passes", 1, {"smoothing": camjax.Smoothing(True)}, 2.1),
    ]


class Measured(NamedTuple):
    """Seconds of a forward pass in each round, and in its units: each row, the least that they can be, the gradient."""

    forward: list[float]
    rows: dict[str, list[float]]
    least: list[float]
    gradient: list[float]


def measured(model: Any, x: Any, asked: list[Row], budget: float, layer: str | None = None) -> Measured:
    """All of them in turns, for so many seconds; the least is for a gradient at `layer`."""
    import jax

    import camjax

    cut = camjax.split(model, x, layer)
    params, (maps, rest) = model.params, jax.jit(cut.features)(model.params, x)

    def gradient(params: Any, maps: Any, rest: Any) -> Any:
        return jax.value_and_grad(lambda maps: cut.head(params, maps, rest)[:, 1].sum())(maps)

    programs = {
        "forward": (jax.jit(lambda params, x: cut.head(params, *cut.features(params, x))), (params, x)),
        "head": (jax.jit(cut.head), (params, maps, rest)),
        "gradient": (jax.jit(gradient), (params, maps, rest)),
    }
    for row in asked:
        programs[row.name] = (jax.jit(camjax.explainer(model, x, **row.options)), (model, x, row.target))
    times: dict[str, list[float]] = {name: [] for name in programs}
    for program, arguments in programs.values():
        call(program, arguments)
    end = time.perf_counter() + budget
    while len(times["forward"]) < ROUNDS or time.perf_counter() < end:
        done = len(times["forward"]) % len(programs)
        for name in (*list(programs)[done:], *list(programs)[:done]):
            times[name].append(seconds(functools.partial(call, *programs[name])))
    units = {name: [t / one for t, one in zip(times[name], times["forward"], strict=True)] for name in programs}
    least = [1 + both - head for both, head in zip(units["gradient"], units["head"], strict=True)]
    return Measured(times["forward"], {row.name: units[row.name] for row in asked}, least, units["gradient"])


def call(program: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Runs a program to its end."""
    import jax

    jax.block_until_ready(program(*arguments))


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
    parser.add_argument("--seconds", type=float, default=30)
    options = parser.parse_args()

    import jax.numpy as jnp

    print(setting("jax"), end="\n\n")
    print(f"| network | batch | forward pass | least | {' | '.join(row.name for row in gradient())} |")
    print("|---|---|---|---|" + "---|" * len(GRADIENT))
    holds = True
    for spec in options.networks:
        model = converted(spec)
        for batch in options.batches:
            found = measured(model, jnp.asarray(images(batch)), gradient(), options.seconds)
            least, cells = statistics.median(found.least), " | ".join(map(quartiles, found.rows.values()))
            taken = statistics.median(found.forward) * 1e3
            print(f"| {spec} | {batch} | {taken:.0f} ms | {least:.2f} | {cells} |", flush=True)
            holds &= all(statistics.median(values) <= OVER * max(least, 1) for values in found.rows.values())
    batch, model = 8, converted("torchvision:resnet50")
    x = jnp.asarray(images(batch))
    print("\n| torchvision:resnet50, batch 8 | forward passes | at most (claimed) |\n|---|---|---|")
    fused = Row("Grad-CAM, four layers", 1, {"layer": FOUR}, None)
    for asked, layer in ((others(batch), None), ([fused], FOUR[0])):
        found = measured(model, x, asked, options.seconds, layer)
        for row in asked:
            limit = row.limit if layer is None else OVER * statistics.median(found.least)
            values = found.rows[row.name]
            print(f"| {row.name} | {quartiles(values)} | {'' if limit is None else f'{limit:.2f}'} |", flush=True)
            holds &= limit is None or statistics.median(values) <= limit
    print("\n| 100 classes, batch 1 | forward passes | gradients of the head beside one |\n|---|---|---|")
    for spec in NOT_AFFINE:
        row = Row("Grad-CAM", jnp.arange(100)[None], {"size": None}, None)
        found = measured(converted(spec), jnp.asarray(images(1)), [row], options.seconds)
        values = found.rows[row.name]
        beside = [(value - 1) / gradient for value, gradient in zip(values, found.gradient, strict=True)]
        print(f"| {spec} | {quartiles(values)} | {quartiles(beside)} |", flush=True)
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
