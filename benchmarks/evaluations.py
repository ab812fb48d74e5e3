"""Claim: Ablation-CAM takes a 200th of pytorch-grad-cam's time; Score-CAM adds nothing to the model's own passes.

    .venv/bin/python benchmarks/evaluations.py --peers PEERS/bin/python [--rounds 3]

Methods that evaluate the model, or its head, once for each channel: for one picture and one class, with random weights
on both sides, at camjax's default layer, which the peers are told. The peers run in a process of their own and take
turns with camjax; the times are medians. "Evaluations" is what the model's own passes at the same batch take, as many
as there are channels; the rest is the method's own work, and may be 5%. So Score-CAM is as fast beside the peers as
the network's forward pass is (`forward.py`): where that is XLA's convolutions, not by much. Memory is by how much a
process grows at most during a call, once it has made one. pytorch-grad-cam's Ablation-CAM runs once, without warming
up, as a run takes minutes. Prints a Markdown table and exits with 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from typing import Any, NamedTuple

from _peers import Peers
from _timing import CORES, images, memory, seconds, setting

CHUNK = min(32, 4 * CORES)  # evaluations at once, as camjax has it by default on a CPU


class Case(NamedTuple):
    """A method, a network, the claimed factor over each peer if one is, and how often the peers run."""

    method: str
    network: str
    factor: float | None
    rounds: int | None = None


CASES = (
    Case("ScoreCAM", "torchvision:resnet18", None),
    Case("ScoreCAM", "torchvision:mobilenet_v2", 1.5),
    Case("AblationCAM", "torchvision:resnet50", 200, 1),
)


def main() -> int:
    """Measures, prints the table and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", required=True, help="the Python of the peers' environment")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    import camjax_torch
    import jax
    import jax.numpy as jnp
    import torch
    from camjax_torch import zoo

    import camjax

    peers = Peers(options.peers)
    print(
        f"{setting('jax', 'torch')}\n\n"
        "| method | network | camjax | in forward passes of one picture | evaluations | memory | by | takes | times as "
        "long | memory |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    holds = True
    for case in CASES:
        torch.manual_seed(0)
        model = camjax_torch.from_torch(zoo.entry(case.network).make(False, None).eval(), torch.zeros(1, 3, 224, 224))
        x = jnp.asarray(images(1))
        default, cut = camjax.layers(model, x).default, camjax.split(model, x)
        assert default is not None
        forward = jax.jit(lambda params, x, cut=cut: cut.head(params, *cut.features(params, x)))
        method = getattr(camjax, case.method)()
        found: list[Any] = []

        def explain(model: Any = model, method: Any = method, x: Any = x, found: list[Any] = found) -> None:
            found[:] = [jax.block_until_ready(camjax.explain(model, x, 1, method=method, strict=False))]

        def passes(batch: int, forward: Any = forward, model: Any = model) -> float:
            many = jnp.asarray(images(batch))
            return seconds(lambda: jax.block_until_ready(forward(model.params, many)), 0.5)

        explain()
        channels = found[0].weights.shape[-1]
        passes(1), passes(CHUNK)
        answer = peers(network=case.network, layer=default.name, batch=1, method=case.method)
        names = [name for name in answer["names"] if name != "forward"]
        times: dict[str, list[float]] = {name: [] for name in ("camjax", "one", "chunk", *names)}
        for turn in range(options.rounds):
            times["camjax"].append(seconds(explain))
            times["one"].append(passes(1))
            times["chunk"].append(passes(CHUNK))
            for name in names:
                if turn < (case.rounds or options.rounds):
                    times[name].append(peers(time=name))
        median = {name: statistics.median(values) for name, values in times.items()}
        ours, own = median["camjax"], memory(explain)
        head_alone = case.method == "AblationCAM"
        part = channels / CHUNK * median["chunk"] / ours
        share = "head alone" if head_alone else f"{part:.0%}"
        holds &= head_alone or part >= 0.95
        for name in names:
            grown = "" if case.rounds == 1 else f"{peers(memory=name):.0f} MB"
            print(
                f"| {case.method} | {case.network}, {channels} channels | {ours:.2f} s | {ours / median['one']:.1f} | "
                f"{share} | {own:.0f} MB | {name} | {median[name]:.1f} s | {median[name] / ours:.1f} | {grown} |",
                flush=True,
            )
            holds &= case.factor is None or median[name] >= case.factor * ours
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
