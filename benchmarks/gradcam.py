"""Claim: Grad-CAM with camjax costs less time than with any peer, on the same weights and images.

    .venv/bin/python benchmarks/gradcam.py --peers PEERS/bin/python [--networks ...] [--batches 1 8] [--rounds 9]

Each network is made with random weights on both sides; the peers run in a process of their own, with their own Python,
and take turns with camjax. Every figure is a ratio to PyTorch's bare forward pass (eager, without gradients) in the
same round: the median over rounds, and the middle half. camjax's is `camjax.explain`, heatmaps at the input's size
included; pytorch-grad-cam's includes them too, torchcam and captum give the layer's size alone. The layer is camjax's
default, which the peers are told. Compiling is stated apart. Prints a Markdown table and exits with 1 if the logits
differ by more than 1e-4 of the largest, or if a peer is faster in the median.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from typing import Any

import numpy as np
from _peers import Peers
from _timing import NETWORKS, images, quartiles, seconds

PEERS = ("pytorch-grad-cam", "torchcam", "captum")
CLASS, TOLERANCE = 1, 1e-4


def main() -> int:
    """Measures, prints the table and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", required=True, help="the Python of the peers' environment")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--batches", nargs="+", type=int, default=(1, 8))
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()

    import camjax_torch
    import jax
    import jax.numpy as jnp
    import torch
    from camjax_torch import zoo

    import camjax

    peers = Peers(options.peers)
    print(
        f"{len(os.sched_getaffinity(0))} cores ({platform.machine()}), jax {jax.__version__}, "
        f"torch {torch.__version__}, {time.strftime('%Y-%m-%d')}\n\n"
        f"| network | batch | PyTorch's forward pass | camjax | {' | '.join(PEERS)} | compiled in |\n"
        f"|{'---|' * (5 + len(PEERS))}"
    )
    holds = True
    for spec in options.networks:
        torch.manual_seed(0)
        model = camjax_torch.from_torch(zoo.entry(spec).make(False, None).eval(), torch.zeros(1, 3, 224, 224))
        for batch in options.batches:
            x = jnp.asarray(images(batch))
            default = camjax.layers(model, x).default
            assert default is not None
            answer = peers(network=spec, layer=default.name, batch=batch)
            want, got = np.asarray(answer["logits"]), np.asarray(model(x))
            holds &= bool(np.abs(got - want).max() <= TOLERANCE * np.abs(want).max())

            def explain(x: Any = x, model: Any = model) -> Any:
                return jax.block_until_ready(camjax.explain(model, x, CLASS, strict=False))

            start = time.perf_counter()
            explain()
            first = time.perf_counter() - start
            rounds: list[dict[str, float]] = []
            for _ in range(options.rounds):
                times = {name: peers(time=name) for name in answer["names"]}
                rounds.append({"camjax": seconds(explain)} | times)
            ratios = {name: [r[name] / r["forward"] for r in rounds] for name in rounds[0]}
            cells = [quartiles(ratios[name]) if name in ratios else "" for name in ("camjax", *PEERS)]
            forward = statistics.median(r["forward"] for r in rounds) * 1e3
            print(f"| {spec} | {batch} | {forward:.0f} ms | {' | '.join(cells)} | {first:.1f} s |", flush=True)
            ours = statistics.median(ratios["camjax"])
            holds &= all(ours <= statistics.median(ratios[name]) for name in PEERS if name in ratios)
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
