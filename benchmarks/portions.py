"""Claim: on a CPU a batch is explained as fast in portions of four pictures a core as at once, in half of the memory.

    .venv/bin/python benchmarks/portions.py [--networks torchvision:resnet50 ...] [--rounds 5]

Grad-CAM, heatmaps included, of 32 pictures of 224x224, so many at a time: milliseconds a picture, and the temporary
memory that the compiled program asks for. Medians over rounds in which all sizes take turns; random weights. What
`camjax.explain` does by itself is the portion of four a core. Prints a Markdown table and exits with 1 if that takes
more than 1.05 times as long as 32 at once, or more than half of the memory.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
from typing import Any

from _timing import CORES, NETWORKS, images, seconds, setting
from costs import call, converted

BATCH = 32
SIZES = (1, 2, 4, 8, 16, 32)
TIME, MEMORY = 1.05, 0.5


def programs(spec: str) -> tuple[dict[int, Any], tuple[Any, Any]]:
    """The compiled program of each size, and their arguments."""
    import jax
    import jax.numpy as jnp

    import camjax

    model, x = converted(spec), jnp.asarray(images(BATCH))
    explain = camjax.explainer(model, x, chunk=128)  # which leaves the size of portions to this file

    def run(size: int, model: Any, x: Any) -> Any:
        if size == BATCH:
            return explain(model, x, 1)
        return jax.lax.map(lambda part: explain(model, part, 1), x.reshape(-1, size, *x.shape[1:]))

    made = {size: jax.jit(functools.partial(run, size)).lower(model, x).compile() for size in SIZES}
    return made, (model, x)


def main() -> int:
    """Measures, prints the table and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    own = 4 * CORES
    if own not in SIZES[:-1]:
        parser.error(f"it compares portions of {SIZES}; on {CORES} cores camjax takes {own} at a time")
    print(setting("jax"), end="\n\n")
    print(f"| network | {' | '.join(f'{size} at a time' for size in SIZES)} |\n|{'---|' * (1 + len(SIZES))}")
    holds = True
    for spec in options.networks:
        made, arguments = programs(spec)
        times: dict[int, list[float]] = {size: [] for size in SIZES}
        for program in made.values():
            call(program, arguments)
        for _ in range(options.rounds):
            for size, program in made.items():
                times[size].append(seconds(functools.partial(call, program, arguments)))
        each = {size: 1e3 * statistics.median(values) / BATCH for size, values in times.items()}
        memory = {size: program.memory_analysis().temp_size_in_bytes / 1e6 for size, program in made.items()}
        cells = " | ".join(f"{each[size]:.1f} ms, {memory[size]:.0f} MB" for size in SIZES)
        print(f"| {spec} | {cells} |", flush=True)
        holds &= each[own] <= TIME * each[BATCH] and memory[own] <= MEMORY * memory[BATCH]
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
