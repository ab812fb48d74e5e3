"""Claim: on a CPU a batch is explained in portions as fast as at once; a large one in half of the memory.

    .venv/bin/python benchmarks/portions.py [--networks torchvision:resnet50 ...] [--batches 8 32] [--rounds 5]

Grad-CAM, heatmaps included, of pictures of 224x224, so many at a time: milliseconds a picture, and the temporary memory
that the compiled program asks for. "camjax": as many as `camjax.explain` takes by itself, which is four a core, and
fewer where the network's maps are wide. Medians over rounds, each beginning with another one; random weights. Prints a
Markdown table and exits with 1 if camjax takes more than 1.05 times as long as the batch at once, or, of 32 pictures,
more than half of its memory.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
from typing import Any

from _timing import NETWORKS, images, seconds, setting
from costs import call, converted

SIZES = (1, 2, 4, 8, 16)
TIME, MEMORY, LARGE = 1.05, 0.5, 32
AT_ONCE, OWN = "at once", "camjax"


def programs(spec: str, batch: int) -> tuple[dict[str, Any], tuple[Any, Any]]:
    """The compiled program of each size, and their arguments."""
    import jax
    import jax.numpy as jnp

    import camjax

    model, x = converted(spec), jnp.asarray(images(batch))
    whole = camjax.explainer(model, x, chunk=128)  # which leaves the size of portions to this file

    def parts(size: int, model: Any, x: Any) -> Any:
        return jax.lax.map(lambda part: whole(model, part, 1), x.reshape(-1, size, *x.shape[1:]))

    runs: dict[str, Any] = {str(size): functools.partial(parts, size) for size in SIZES if size < batch}
    runs |= {AT_ONCE: functools.partial(whole, target=1), OWN: functools.partial(camjax.explainer(model, x), target=1)}
    return {name: jax.jit(run).lower(model, x).compile() for name, run in runs.items()}, (model, x)


def main() -> int:
    """Measures, prints the table and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--batches", type=int, nargs="+", default=[8, LARGE])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    print(setting("jax"), end="\n\n")
    columns = [*map(str, SIZES), AT_ONCE, OWN]
    print(f"| network | batch | {' | '.join(columns)} |\n|{'---|' * (2 + len(columns))}")
    holds = True
    for spec in options.networks:
        for batch in options.batches:
            made, arguments = programs(spec, batch)
            times: dict[str, list[float]] = {name: [] for name in made}
            for program in made.values():
                call(program, arguments)
            names = list(made)
            for turn in range(options.rounds):
                first = turn % len(names)
                for name in (*names[first:], *names[:first]):
                    times[name].append(seconds(functools.partial(call, made[name], arguments)))
            each = {name: 1e3 * statistics.median(values) / batch for name, values in times.items()}
            memory = {name: program.memory_analysis().temp_size_in_bytes / 1e6 for name, program in made.items()}
            cells = [f"{each[name]:.1f} ms, {memory[name]:.0f} MB" if name in made else "" for name in columns]
            print(f"| {spec} | {batch} | {' | '.join(cells)} |", flush=True)
            holds &= each[OWN] <= TIME * each[AT_ONCE]
            holds &= batch < LARGE or memory[OWN] <= MEMORY * memory[AT_ONCE]
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
