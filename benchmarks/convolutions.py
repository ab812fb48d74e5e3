"""Claim: what camjax evaluates on a CPU instead of a convolution is faster.

    .venv/bin/python benchmarks/convolutions.py > benchmarks/convolutions.md

Shapes of MobileNetV2, EfficientNet, ConvNeXt, ResNet and ResNeXt. Each expression is compiled as the pipe compiles
it, for one example under `jax.vmap`, with the channels last; all of a row take turns, and the medians are compared.
Prints the Markdown tables on which the rule in `camjax/trace/_cpu.py` rests. Exits with 1 if its choice (in bold) does
not take less than the convolution in the median over a table, or takes 1.5 times as long anywhere (two runs of the
same program on a busy machine differ by that).
"""

from __future__ import annotations

import functools
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax

from camjax.trace._cpu_kernels import Window, depthwise, grouped, pointwise


class Shape(NamedTuple):
    """A convolution of square maps with square kernels."""

    size: int
    channels: int
    outputs: int
    taps: int
    stride: int
    groups: int


DEPTHWISE = [
    Shape(*numbers)
    for numbers in (
        (112, 32, 32, 3, 1, 32),
        (112, 96, 96, 3, 2, 96),
        (28, 192, 192, 3, 1, 192),
        (7, 960, 960, 3, 1, 960),
        (28, 240, 240, 5, 1, 240),
        (56, 96, 96, 7, 1, 96),
        (14, 384, 384, 7, 1, 384),
    )
]
POINTWISE = [
    Shape(size, channels, outputs, 1, stride, 1)
    for size, channels, outputs, stride in (
        (112, 16, 96, 1),
        (56, 64, 256, 1),
        (28, 512, 128, 1),
        (14, 576, 96, 1),
        (7, 512, 2048, 1),
        (28, 512, 1024, 2),
    )
]
GROUPED = [
    Shape(size, channels, channels, 3, stride, groups)
    for size, channels, stride, groups in (
        (56, 128, 1, 32),
        (56, 256, 2, 32),
        (28, 256, 1, 32),
        (14, 512, 1, 32),
        (7, 1024, 1, 32),
        (28, 192, 1, 8),
    )
]
Run = Callable[[Window, Any, Any], Any]
CHOICES: dict[str, tuple[list[Shape], dict[str, Run]]] = {
    "depthwise": (DEPTHWISE, {"sum of shifted products": depthwise}),
    "pointwise": (POINTWISE, {"matrix product": pointwise}),
    "grouped": (
        GROUPED,
        {
            "dense blocks of 32 channels, at most 8": grouped,
            "of 32, any number": functools.partial(grouped, most=10**6),
            "of 64, at most 8": functools.partial(grouped, least=64),
            "one": functools.partial(grouped, most=1),
        },
    ),
}


def convolution(groups: int) -> Run:
    """The convolution as XLA has it."""

    def run(window: Window, x: Any, k: Any) -> Any:
        numbers = ("NHWC", "HWIO", "NHWC")
        padding = list(window.padding)
        return lax.conv_general_dilated(
            x, k, window.strides, padding, dimension_numbers=numbers, feature_group_count=groups
        )

    return run


def milliseconds(runs: dict[str, Callable[[], Any]], rounds: int = 7) -> dict[str, float]:
    """The median of each, in turns."""
    for run in runs.values():
        run()
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: statistics.median(values) for name, values in times.items()}


def measured(shape: Shape, batch: int, expressions: dict[str, Run]) -> dict[str, float]:
    """The milliseconds of each expression, and of the convolution."""
    half = shape.taps // 2
    window = Window((shape.stride,) * 2, ((half, half),) * 2, (1, 1), None, None)
    random = np.random.default_rng(0)
    x = random.standard_normal((batch, 1, shape.size, shape.size, shape.channels), np.float32)
    k = random.standard_normal((shape.taps,) * 2 + (shape.channels // shape.groups, shape.outputs), np.float32)
    runs: dict[str, Callable[[], Any]] = {}
    for name, expression in {"convolution": convolution(shape.groups), **expressions}.items():
        compiled = jax.jit(jax.vmap(functools.partial(expression, window), (0, None))).lower(x, k).compile()
        runs[name] = functools.partial(_done, compiled, jax.numpy.asarray(x), jax.numpy.asarray(k))
    return milliseconds(runs)


def _done(run: Callable[..., Any], *arrays: Any) -> Any:
    return jax.block_until_ready(run(*arrays))


def main() -> int:
    """Measures, prints the tables and judges the claim."""
    cores = len(os.sched_getaffinity(0))
    print("# Convolutions on a CPU\n")
    print(f"Milliseconds on {cores} core(s), jax {jax.__version__}; made by `benchmarks/convolutions.py`.")
    holds = True
    for kind, (shapes, expressions) in CHOICES.items():
        names = ["convolution", *expressions]
        chosen, ratios = names[1], []
        print(f"\n## {kind.capitalize()}\n\n| map | kernel | groups | batch | " + " | ".join(names) + " |")
        print("|---|---|---|---|" + "---|" * len(names))
        for shape in shapes:
            for batch in (1, 8):
                found = measured(shape, batch, expressions)
                ratios.append(found[chosen] / found["convolution"])
                cells = [f"**{found[n]:.2f}**" if n == chosen else f"{found[n]:.2f}" for n in names]
                kernel = f"{shape.taps}x{shape.taps}, {shape.channels} to {shape.outputs}"
                kernel += f", stride {shape.stride}" if shape.stride > 1 else ""
                row = [f"{shape.size}x{shape.size}", kernel, str(shape.groups), str(batch), *cells]
                print(f"| {' | '.join(row)} |", flush=True)
        holds &= statistics.median(ratios) < 1 and max(ratios) < 1.5
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
