"""Claim: Grad-CAM with camjax is slower than none of the peers', and takes half of pytorch-grad-cam's time at most.

    .venv/bin/python benchmarks/gradcam.py --peers PEERS/bin/python [--batches 1 8] [--rounds 9] [--chart chart.png]
        [--dtype bfloat16] [--compile]

Each network is made with random weights on both sides, the same; the peers run in a process of their own, with their
own Python, and take turns with camjax, each round beginning with another one. Every figure is a ratio to PyTorch's bare
forward pass (eager, without gradients) in the same round: the median over rounds, and the middle half. camjax's is
`camjax.explain`, heatmaps at the input's size included; pytorch-grad-cam's includes them too, torchcam and captum give
the layer's size alone. The layer is camjax's default, which the peers are told. Compiling is stated apart. The second
table has the medians alone.

On a machine with a GPU both sides use it, where jax and torch were installed for it: the first line says what each runs
on, and how exact its float32 products are. `--compile` hands the peers the network through `torch.compile`; what a peer
cannot do with it, or with `--dtype`, is said below the table.

The third has the maps of ten classes of each example, for which camjax takes one call and the peers one (of torchcam:
one backward pass) per class, and of all 1000 (`size=None`), which the peers are not asked for. Prints them as Markdown
and exits with 1 if the logits differ by more than 1e-4 of the largest (bfloat16: 5e-2), if camjax takes more than half
of pytorch-grad-cam's time in the median (a third with a single picture), or if in three rounds of four it takes longer
than torchcam or captum in the same round, or, with peers that are eager, than PyTorch's bare forward pass.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from _peers import Peers
from _timing import NETWORKS, Medians, images, mostly_above, quartiles, seconds, setting, summary

PEERS = ("pytorch-grad-cam", "torchcam", "captum")
CLASS, CLASSES, TOLERANCE = 1, 10, {"float32": 1e-4, "bfloat16": 5e-2}


def judged(rounds: list[dict[str, float]], batch: int, eager: bool) -> bool:
    """Whether the claim holds for a network and a batch; seconds by name, in each round."""
    beside = {name: [r["camjax"] / r[name] for r in rounds] for name in rounds[0]}
    slow = beside.pop(PEERS[0], None)
    held = slow is None or statistics.median(slow) <= (1 / 3 if batch == 1 else 1 / 2)
    never = {name: values for name, values in beside.items() if eager or name != "forward"}
    return held and not any(mostly_above(1, values) for values in never.values())


def draw(medians: Medians, path: Path) -> None:
    """A row of bars for each network and batch."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.45 * len(medians) + 1), layout="constrained")
    for number, name in enumerate(("camjax", *PEERS)):
        rows = [(row, found[name]) for row, found in enumerate(medians.values()) if name in found]
        places, lengths = [row + 0.2 * number - 0.3 for row, _ in rows], [length for _, length in rows]
        axes.barh(places, lengths, height=0.18, label=name, color=("#0a7d5a", "#e0a458", "#8d99ae", "#c8553d")[number])
    axes.axvline(1, color="black", linewidth=0.8)
    labels = [f"{spec.partition(':')[2]}, batch {batch}" for spec, batch in medians]
    axes.set(yticks=range(len(medians)), yticklabels=labels, xlabel="time of Grad-CAM / of PyTorch's bare forward pass")
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=100)


def cast(model: Any, dtype: str) -> Any:
    """The model with its floating-point numbers in a dtype."""
    import jax

    return jax.tree.map(lambda leaf: leaf.astype(dtype) if leaf.dtype == "float32" else leaf, model)


def ten(model: Any, spec: str, peers: Peers, rounds: int, how: dict[str, Any], batch: int = 8) -> None:
    """Prints the table of ten classes."""
    import jax
    import jax.numpy as jnp

    import camjax

    x = jnp.asarray(images(batch), how["dtype"])
    default = camjax.layers(model, x).default
    assert default is not None
    answer = peers(network=spec, layer=default.name, batch=batch, classes=CLASSES, **how)

    def explain(classes: int, size: str | None) -> None:
        target = jnp.arange(classes)[None]
        jax.block_until_ready(camjax.explain(model, x, target, size=size, strict=False))

    runs = {
        f"camjax, {CLASSES} classes": functools.partial(explain, CLASSES, "input"),
        "camjax, 1000 classes": functools.partial(explain, 1000, None),
    }
    ratios: dict[str, list[float]] = {name: [] for name in (*runs, *answer["names"][1:])}
    for run in runs.values():
        run()
    for _ in range(rounds):
        one = peers(time="forward")
        for name, values in ratios.items():
            values.append((seconds(runs[name]) if name in runs else peers(time=name)) / one)
    print(f"\n| {spec}, batch {batch} | in PyTorch's forward passes |\n|---|---|")
    for name, values in ratios.items():
        print(f"| {name if name in runs else f'{name}, {CLASSES} classes'} | {quartiles(values)} |", flush=True)


def main() -> int:
    """Measures, prints the table and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", required=True, help="the Python of the peers' environment")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--batches", nargs="+", type=int, default=(1, 8))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--dtype", default="float32", choices=TOLERANCE, help="of weights and images, on both sides")
    parser.add_argument("--compile", action="store_true", help="give the peers the network through torch.compile")
    parser.add_argument("--chart", type=Path, help="also draw the medians")
    options = parser.parse_args()

    import camjax_torch
    import jax
    import jax.numpy as jnp
    import torch
    from camjax_torch import zoo

    import camjax

    peers = Peers(options.peers)
    how = {"dtype": options.dtype, "compile": options.compile}
    config: Any = jax.config  # its attributes are made at run time
    products = config.jax_default_matmul_precision or "default"
    print(
        f"{setting('jax')}; jax on {jax.devices()[0].device_kind}, float32 products: {products}; {peers(device=True)}; "
        f"{options.dtype}, peers {'compiled' if options.compile else 'eager'}\n\n"
        f"| network | batch | PyTorch's forward pass | camjax | {' | '.join(PEERS)} | compiled in |\n"
        f"|{'---|' * (5 + len(PEERS))}"
    )
    holds, medians, models, failed = True, Medians(), {}, {}
    for spec in options.networks:
        torch.manual_seed(0)
        model = camjax_torch.from_torch(zoo.entry(spec).make(False, None).eval(), torch.zeros(1, 3, 224, 224))
        model = cast(model, options.dtype)
        models[spec] = model
        for batch in options.batches:
            x = jnp.asarray(images(batch), options.dtype)
            default = camjax.layers(model, x).default
            assert default is not None
            answer = peers(network=spec, layer=default.name, batch=batch, **how)
            failed |= answer["failed"]
            want, got = np.asarray(answer["logits"]), np.asarray(model(x), np.float32)
            holds &= bool(np.abs(got - want).max() <= TOLERANCE[options.dtype] * np.abs(want).max())

            def explain(x: Any = x, model: Any = model) -> Any:
                return jax.block_until_ready(camjax.explain(model, x, CLASS, strict=False))

            start = time.perf_counter()
            explain()
            first = time.perf_counter() - start
            runs = {name: functools.partial(peers, time=name) for name in answer["names"]}
            runs["camjax"] = functools.partial(seconds, explain)
            rounds = [
                {name: runs[name]() for name in (*list(runs)[turn % len(runs) :], *list(runs)[: turn % len(runs)])}
                for turn in range(options.rounds)
            ]
            ratios = {name: [r[name] / r["forward"] for r in rounds] for name in rounds[0]}
            cells = [quartiles(ratios[name]) if name in ratios else "" for name in ("camjax", *PEERS)]
            forward = statistics.median(r["forward"] for r in rounds) * 1e3
            print(f"| {spec} | {batch} | {forward:.0f} ms | {' | '.join(cells)} | {first:.1f} s |", flush=True)
            medians[spec, batch] = {name: statistics.median(values) for name, values in ratios.items()}
            holds &= judged(rounds, batch, not options.compile)
    print(f"\n{summary(medians, ('camjax', *PEERS))}")
    for name, reason in failed.items():
        print(f"\n{name} cannot: {reason.splitlines()[0]}")
    for spec in options.networks[:1]:
        ten(models[spec], spec, peers, options.rounds, how)
    if options.chart is not None:
        draw(medians, options.chart)
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
