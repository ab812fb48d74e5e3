"""Claim: a call takes less than 3.5 times what `jax.jit` takes by itself, and the program's time is the network's own.

    .venv/bin/python benchmarks/breakdown.py [--networks torchvision:resnet50 ...] [--batches 1 8] [--calls 10]

XLA's own trace of the compiled program, heatmaps included: the share that steps of a kind have of the time of all. A
step is what XLA has fused, so a kind is told by what is in it: a convolution, else a matrix product, else a window that
pools, else anything but moving data ("loops": normalisation, activations, sums; depthwise convolutions, too), else
"moves": copies, transposes, paddings. The bare features and head stand beside Grad-CAM: what explaining adds is the
difference.

The second table has what a call costs beside the program: the time of a call, for a network with as many parameters as
MobileNetV2, and so small that nothing else is left, of `explain`, which looks up the compiled program and (if strict)
reads the status of each map, of an `explainer`, and of that under `jax.jit`, which is what jax itself needs, as it does
for the bare forward pass; the least of ten turns. The claim holds where `explain` takes less than 3.5 times as long as
that last one, and "loops" and "moves" have at most a tenth more of the time in Grad-CAM than in the forward pass.
"""

from __future__ import annotations

import argparse
import collections
import functools
import gzip
import json
import math
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_enable_xprof_traceme=true"  # before jax starts

from _timing import NETWORKS, images, seconds, setting

KINDS = {"convolutions": {"convolution"}, "products": {"dot", "custom-call"}, "windows": {"reduce-window"}}
MOVES = {"parameter", "constant", "bitcast", "reshape", "copy", "transpose", "pad", "slice", "concatenate", "broadcast"}
COLUMNS = (*KINDS, "loops", "moves")
LIMIT, BARE = 3.5, "`jax.jit` of the forward pass"
PARAMETERS = 263  # of MobileNetV2, as arrays
TURNS = 10  # of a tenth of a second


def main() -> int:
    """Measures and prints both tables, and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--calls", type=int, default=10)
    options = parser.parse_args()

    import camjax_torch
    import jax
    import jax.numpy as jnp
    import torch
    from camjax_torch import zoo

    import camjax

    print(setting("jax"), end="\n\n")
    print(f"| network | batch | | a call | {' | '.join(COLUMNS)} |")
    print("|---|---|---|---|" + "---|" * len(COLUMNS))
    holds = True
    for spec in options.networks:
        torch.manual_seed(0)
        model = camjax_torch.from_torch(zoo.entry(spec).make(False, None).eval(), torch.zeros(1, 3, 224, 224))
        for batch in options.batches:
            x = jnp.asarray(images(batch))
            cut = camjax.split(model, x)
            programs = {
                "forward": jax.jit(lambda model, x, cut=cut: cut.head(model.params, *cut.features(model.params, x))),
                "Grad-CAM": jax.jit(functools.partial(camjax.explainer(model, x), target=1)),
            }
            beside = []
            for name, program in programs.items():
                found, wall = traced(program.lower(model, x).compile(), (model, x), options.calls)
                beside.append(found["loops"] + found["moves"])
                shares = " | ".join(f"{found[kind]:.0%}" for kind in COLUMNS)
                print(f"| {spec} | {batch} | {name} | {wall * 1e3:.0f} ms | {shares} |", flush=True)
            holds &= beside[1] <= beside[0] + 0.1
    calls = overheads()
    print("\n| a call of | beside the program |\n|---|---|")
    for name, taken in calls.items():
        print(f"| {name} | {taken * 1e6:.0f} µs |")
    if not (holds := holds and calls["`explain`"] < LIMIT * calls[BARE]):
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


def traced(program: Any, arguments: tuple[Any, ...], calls: int) -> tuple[dict[str, float], float]:
    """The shares of time by kind, and the seconds of a call."""
    import jax

    jax.block_until_ready(program(*arguments))
    quiet = jax.profiler.ProfileOptions()
    quiet.python_tracer_level = 0
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, create_perfetto_trace=True, profiler_options=quiet):
            start = time.perf_counter()
            for _ in range(calls):
                jax.block_until_ready(program(*arguments))
            wall = (time.perf_counter() - start) / calls
        (path,) = Path(folder).rglob("perfetto_trace.json.gz")
        with gzip.open(path) as file:
            events = json.load(file)["traceEvents"]
    kinds, times = kinds_of(program.as_text()), collections.Counter[str]()
    for event in events:
        if event.get("ph") == "X" and event["name"] in kinds:
            times[kinds[event["name"]]] += event["dur"]
    return {kind: times[kind] / times.total() for kind in COLUMNS}, wall


def kinds_of(text: str) -> dict[str, str]:
    """For each step of a compiled program what it computes, from its text; loops and calls are their steps."""
    inside: dict[str, set[str]] = collections.defaultdict(set)  # of each computation: its operations
    steps: dict[str, tuple[str, str]] = {}
    where = ""
    for line in text.splitlines():
        if opened := re.match(r"(?:ENTRY )?%?([\w.-]+) \(.*\{$", line):
            where = opened[1]
        elif step := re.match(r"\s+(?:ROOT )?%?([\w.-]+) = .*? ([a-z][\w-]*)\(", line):
            inside[where].add(step[2])
            called = re.search(r" calls=%?([\w.-]+)", line)
            steps[step[1]] = step[2], called[1] if called else ""
    found = {}
    for name, (operation, called) in steps.items():
        has = inside[called] if operation == "fusion" else {operation}
        if operation not in ("while", "call", "conditional"):
            rest = "moves" if has <= MOVES else "loops"
            found[name] = next((kind for kind, marks in KINDS.items() if has & marks), rest)
    return found


def overheads() -> dict[str, float]:
    """Seconds of calls that have next to nothing to compute."""
    import jax
    import jax.numpy as jnp

    import camjax

    def apply(params: Any, x: Any) -> Any:
        with jax.named_scope("conv"):
            x = jax.lax.conv_general_dilated(x, params[0], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return functools.reduce(jnp.multiply, params[1:], x).mean((1, 2))

    params = [jnp.ones((1, 1, 3, 3)), *[jnp.ones((1, 1, 1, 3))] * (PARAMETERS - 1)]
    model, x = camjax.Model(apply, params), jnp.ones((1, 4, 4, 3))
    explainer = camjax.explainer(model, x, layer="conv")
    compiled, forward = jax.jit(explainer), jax.jit(apply)
    runs: dict[str, Callable[[], Any]] = {
        "`explain`": lambda: camjax.explain(model, x, 1, layer="conv"),
        "`explain`, not strict": lambda: camjax.explain(model, x, 1, layer="conv", strict=False),
        "`explainer`": lambda: explainer(model, x, 1),
        "`jax.jit(explainer)`": lambda: compiled(model, x, 1),
        BARE: lambda: forward(params, x),
    }
    found = dict.fromkeys(runs, math.inf)
    for _ in range(TURNS):
        for name, run in runs.items():
            found[name] = min(found[name], seconds(lambda run=run: jax.block_until_ready(run())))
    return found


if __name__ == "__main__":
    sys.exit(main())
