"""Claim: converted networks run forward on a CPU about as fast as PyTorch runs them, Grad-CAM included.

    .venv/bin/python benchmarks/forward.py [--networks torchvision:resnet50 ...] [--batches 1 8] [--rounds 9]

Each network is made with random weights and converted. PyTorch's eager forward pass without gradients runs in a
process of its own, so that neither side's threads disturb the other's; the two take turns, on the same weights and
images, and the ratios are those of neighbours: their median, and the middle half of them. `forward` is camjax's
compiled features and head, `plain` the same without the rewriting for CPUs (`Model(rewrite=False)`), `Grad-CAM` is
`camjax.explain` at the default layer, heatmaps included. The first call, which compiles, is stated apart. The second
table has the medians alone. Prints both as Markdown and exits with 1 if a logit differs by more than 1e-4 of the
largest, or if a ratio of `forward` is above 1.5.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _timing import CORES, NETWORKS, Medians, images, quartiles, seconds, setting, summary

LIMIT, TOLERANCE = 1.5, 1e-4


def module(spec: str) -> Any:
    """The network with the same random weights in every process."""
    import torch
    from camjax_torch import zoo

    torch.set_num_threads(CORES)
    torch.manual_seed(0)
    return zoo.entry(spec).make(False, None).eval()


def worker(pipe: Any) -> None:
    """PyTorch's side: for (spec, batch) the logits, for "time" the seconds of one forward pass."""
    import torch

    network, x = None, None

    def forward() -> Any:
        with torch.inference_mode():
            return network(x)  # type: ignore[misc] - the first message says which

    while (message := pipe.recv()) is not None:
        if message == "time":
            pipe.send(seconds(forward))
        else:
            network, x = module(message[0]), torch.from_numpy(images(message[1]))
            forward()
            pipe.send(forward().numpy())


def main() -> int:
    """Measures, prints the table and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--networks", nargs="+", default=(*NETWORKS, "torchvision:resnext50_32x4d"))
    parser.add_argument("--batches", nargs="+", type=int, default=(1, 8))
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()

    import camjax_torch
    import jax
    import jax.numpy as jnp
    import torch

    import camjax

    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=worker, args=(other,), daemon=True)
    process.start()
    print(
        f"{setting('jax', 'torch')}\n\n"
        "| network | batch | PyTorch forward | forward | plain | Grad-CAM | first forward | first Grad-CAM |\n"
        "|---|---|---|---|---|---|---|---|"
    )
    holds, medians = True, Medians()
    for spec in options.networks:
        model = camjax_torch.from_torch(module(spec), torch.zeros(1, 3, 224, 224))
        for batch in options.batches:
            x = jnp.asarray(images(batch))
            pipe.send((spec, batch))
            want = pipe.recv()

            def forward(model: Any, x: Any = x) -> Callable[[], Any]:
                cut = camjax.split(model, x)
                run = jax.jit(lambda params, x: cut.head(params, *cut.features(params, x)))
                return lambda: jax.block_until_ready(run(model.params, x))

            runs: dict[str, Callable[[], Any]] = {
                "forward": forward(model),
                "plain": forward(dataclasses.replace(model, rewrite=False)),
                "Grad-CAM": lambda x=x, model=model: jax.block_until_ready(camjax.explain(model, x, 1, strict=False)),
            }
            first, error = {}, 0.0
            for name, run in runs.items():
                start = time.perf_counter()
                result = run()
                first[name] = time.perf_counter() - start
                if name == "forward":
                    error = float(np.abs(np.asarray(result) - want).max() / np.abs(want).max())
            rounds: list[dict[str, float]] = []
            for _ in range(options.rounds):
                pipe.send("time")
                rounds.append({"torch": pipe.recv()})
                rounds[-1].update({name: seconds(run) for name, run in runs.items()})
            ratios = {name: [r[name] / r["torch"] for r in rounds] for name in runs}
            print(
                f"| {spec} | {batch} | {statistics.median(r['torch'] for r in rounds) * 1e3:.0f} ms | "
                + " | ".join(quartiles(ratios[name]) for name in runs)
                + f" | {first['forward']:.1f} s | {first['Grad-CAM']:.1f} s |",
                flush=True,
            )
            medians[spec, batch] = {name: statistics.median(values) for name, values in ratios.items()}
            holds &= error <= TOLERANCE and medians[spec, batch]["forward"] <= LIMIT
    print(f"\n{summary(medians, ('forward', 'Grad-CAM', 'plain'))}")
    pipe.send(None)
    process.join()
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
