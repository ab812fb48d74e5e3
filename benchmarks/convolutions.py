"""Claim: what camjax evaluates on a CPU instead of a convolution, or of pooling, is faster.

    .venv/bin/python benchmarks/convolutions.py

Shapes of MobileNetV2, EfficientNet, ConvNeXt, ViT, ResNet, ResNeXt, DenseNet, Inception and VGG. Each expression is
compiled as the pipe compiles it, for one example under `jax.vmap`, with the channels last; all of a row take turns, and
the medians are compared. "By XLA" is the convolution, or the pooling, as it is. "In a loop" is what methods that
evaluate a model many times do: there, XLA leaves a convolution in the layout that it has, here PyTorch's, with the
channels first. "Slopes" are derivatives by the map, from those by the result.
Prints the Markdown tables on which the rules in `camjax/trace/_cpu.py` and the files that begin with `_cpu_` rest.
Exits with 1 if its choice (in bold) does not take less than XLA's in the median over a table, or takes 1.5 times as
long anywhere (two runs of the same program on a busy machine differ by that).
"""

from __future__ import annotations

import functools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from _timing import setting
from jax import lax

from camjax.trace._cpu_grouped import grouped
from camjax.trace._cpu_kernels import Window, dense, depthwise, pointwise, tiles, unfolded
from camjax.trace._cpu_wide import convolve
from camjax.trace._cpu_windows import pooling
from camjax.trace._winograd import winograd


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
TILES = [
    Shape(size, channels, outputs, taps, taps, 1)
    for size, channels, outputs, taps in ((224, 3, 96, 4), (56, 96, 192, 2), (14, 384, 768, 2), (224, 3, 384, 16))
]
UNFOLDED = [Shape(size, 3, outputs, 3, 2, 1) for size, outputs in ((224, 32), (224, 16), (64, 16))]
MANY = [
    Shape(size, channels, outputs, 3, 1, 1)
    for size, channels, outputs in (
        (56, 64, 64),
        (56, 256, 256),
        (28, 64, 64),
        (28, 128, 128),
        (28, 512, 512),
        (14, 256, 256),
        (14, 512, 512),
        (7, 512, 512),
    )
]
SHORT = [
    Shape(*numbers, 1)
    for numbers in (
        (224, 3, 64, 7, 2),
        (56, 64, 128, 3, 2),
        (56, 128, 32, 3, 1),
        (56, 32, 32, 3, 1),
        (112, 32, 64, 3, 1),
        (35, 48, 64, 5, 1),
        (64, 128, 32, 3, 1),
        (128, 32, 128, 3, 1),
    )
]
POOLED = [
    Shape(size, channels, channels, taps, stride, channels)
    for size, channels, taps, stride in ((112, 64, 3, 2), (35, 192, 3, 1), (20, 256, 5, 1), (20, 256, 13, 1))
]
FEW_OR_LARGE = [
    Shape(size, channels, outputs, 3, 1, 1)
    for size, channels, outputs in (
        (56, 32, 32),
        (112, 64, 128),
        (112, 128, 128),
        (224, 64, 64),
    )
]
DENSE = [Shape(size, channels, channels, 3, 1, 1) for size, channels in ((56, 64), (14, 256), (7, 512))]
SMALL = [
    Shape(*numbers, 1)
    for numbers in (
        (7, 512, 512, 3, 1),
        (13, 64, 256, 3, 1),
        (17, 192, 192, 3, 1),
        (14, 512, 512, 3, 2),
        (28, 256, 256, 3, 2),
        (28, 64, 64, 3, 2),
    )
]
Run = Callable[[Window, Any, Any], Any]
_BY_XLA = "by XLA"


def convolution(window: Window, x: Any, k: Any) -> Any:
    """The convolution as XLA has it."""
    return _convolution(window, x, k, ("NHWC", "HWIO", "NHWC"))


def channels_first(window: Window, x: Any, k: Any) -> Any:
    """The convolution as PyTorch has it."""
    return _convolution(window, x, k, ("NCHW", "OIHW", "NCHW"))


def _convolution(window: Window, x: Any, k: Any, numbers: tuple[str, str, str]) -> Any:
    groups = x.shape[numbers[0].index("C")] // k.shape[numbers[1].index("I")]
    padding = list(window.padding)
    return lax.conv_general_dilated(
        x, k, window.strides, padding, dimension_numbers=numbers, feature_group_count=groups
    )


def largest(window: Window, x: Any, k: Any) -> Any:
    """The pooling of the convolution's windows, as XLA has it."""
    return lax.reduce_window(x, -np.inf, lax.max, **_pooled(window, k))


def shifted(window: Window, x: Any, k: Any) -> Any:
    """The same as camjax has it."""
    params = {**_pooled(window, k), "base_dilation": (1,) * 4}
    return pooling("reduce_window_max", params, functools.partial(largest, window, k=k), x)


def _pooled(window: Window, k: Any) -> dict[str, Any]:
    return {
        "window_dimensions": (1, *k.shape[:2], 1),
        "window_strides": (1, *window.strides, 1),
        "padding": ((0, 0), *window.padding, (0, 0)),
        "window_dilation": (1, *window.dilation, 1),
    }


class Kind(NamedTuple):
    """Convolutions, and what is tried instead of XLA's, of which the first is chosen, if so; in a loop; slopes."""

    shapes: list[Shape]
    expressions: dict[str, Run]
    loop: bool = False
    chosen: bool = True
    instead_of: Run = convolution
    slopes: bool = False


KINDS = {
    "depthwise": Kind(DEPTHWISE, {"sum of shifted products": depthwise}),
    "pointwise": Kind(POINTWISE, {"matrix product": pointwise}),
    "windows side by side": Kind(TILES, {"matrix product": tiles}),
    "windows of few channels": Kind(UNFOLDED, {"matrix product": unfolded}),
    "3x3 windows of many channels": Kind(MANY, {"tiles, where the batch has 128": winograd}),
    "3x3 windows of fewer channels, or of larger maps": Kind(FEW_OR_LARGE, {"tiles": winograd}, chosen=False),
    "grouped": Kind(
        GROUPED,
        {
            "dense blocks of 32 channels, at most 16": grouped,
            "at most 8": functools.partial(grouped, most=8),
            "any number": functools.partial(grouped, most=10**6),
            "of 64, at most 16": functools.partial(grouped, least=64),
            "one": functools.partial(grouped, most=1),
        },
    ),
    "rows too short for several cores": Kind(SHORT, {"strips side by side": convolve}),
    "overlapping windows, pooled": Kind(POOLED, {"largest of shifted maps": shifted}, instead_of=largest),
    "slopes of small maps": Kind(SMALL, {"matrix product": dense}, slopes=True),
    "in a loop": Kind(DENSE, {"channels last": dense}, loop=True, instead_of=channels_first),
}


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


def measured(kind: Kind, shape: Shape, batch: int) -> dict[str, float]:
    """The milliseconds of each expression, and of what it stands for."""
    half = 0 if shape.taps == shape.stride else shape.taps // 2
    window = Window((shape.stride,) * 2, ((half, half),) * 2, (1, 1), None, None)
    random = np.random.default_rng(0)
    x = random.standard_normal((batch, 1, shape.size, shape.size, shape.channels), np.float32)
    k = random.standard_normal((shape.taps,) * 2 + (shape.channels // shape.groups, shape.outputs), np.float32)
    runs: dict[str, Callable[[], Any]] = {}
    for name, run in {_BY_XLA: kind.instead_of, **kind.expressions}.items():
        first = run is channels_first
        arrays = (x.transpose(0, 1, 4, 2, 3), k.transpose(3, 2, 0, 1)) if first else (x, k)
        arrays = tuple(map(jax.numpy.asarray, arrays))
        mapped = jax.vmap(functools.partial(run, window), (0, None))
        program = functools.partial(looped, mapped) if kind.loop else mapped
        if kind.slopes:
            program, arrays = functools.partial(slopes, mapped), (*arrays, jax.numpy.ones_like(mapped(*arrays)))
        runs[name] = functools.partial(_done, jax.jit(program).lower(*arrays).compile(), *arrays)
    return milliseconds(runs, 1 if kind.loop else 7)


def looped(run: Callable[[Any, Any], Any], x: Any, k: Any) -> Any:
    """Evaluated four times, of which none can be left out."""
    return lax.map(lambda strength: run(strength * x, k).sum(), jax.numpy.arange(1.0, 5.0))


def slopes(run: Callable[[Any, Any], Any], x: Any, k: Any, y: Any) -> Any:
    """By x, of those by the result."""
    return jax.vjp(lambda x: run(x, k), x)[1](y)[0]


def _done(run: Callable[..., Any], *arrays: Any) -> Any:
    return jax.block_until_ready(run(*arrays))


def main() -> int:
    """Measures, prints the tables and judges the claim."""
    print(f"Milliseconds. {setting('jax')}.")
    holds = True
    for title, kind in KINDS.items():
        names = [_BY_XLA, *kind.expressions]
        chosen, ratios = names[kind.chosen], []
        print(f"\n## {title.capitalize()}\n\n| map | kernel | groups | batch | " + " | ".join(names) + " |")
        print("|---|---|---|---|" + "---|" * len(names))
        for shape in kind.shapes:
            for batch in (1, 8):
                found = measured(kind, shape, batch)
                ratios.append(found[chosen] / found[_BY_XLA])
                cells = [f"**{found[n]:.2f}**" if n == chosen else f"{found[n]:.2f}" for n in names]
                kernel = f"{shape.taps}x{shape.taps}, {shape.channels} to {shape.outputs}"
                kernel += f", stride {shape.stride}" if shape.stride > 1 else ""
                row = [f"{shape.size}x{shape.size}", kernel, str(shape.groups), str(batch), *cells]
                print(f"| {' | '.join(row)} |", flush=True)
        holds &= not kind.chosen or (statistics.median(ratios) < 1 and max(ratios) < 1.5)
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
