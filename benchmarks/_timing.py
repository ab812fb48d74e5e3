"""What both sides of a benchmark share: the networks, the images, the clock, and how it is told. NumPy alone."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

NETWORKS = (
    "torchvision:resnet50",
    "torchvision:vgg16",
    "torchvision:mobilenet_v2",
    "torchvision:efficientnet_b0",
    "torchvision:convnext_tiny",
    "timm:vit_small_patch16_224",
)
"""Those that are compared."""


CORES = len(os.sched_getaffinity(0))
"""Those that this process may use, as the machine that measures says it: a Linux."""


def setting(*packages: str, also: str = "") -> str:
    """Where, with what and when: what stands above each table."""
    versions = (f"{name} {importlib.metadata.version(name)}" for name in packages)
    return ", ".join([f"{CORES} cores of {processor()}", *filter(None, [also]), *versions, time.strftime("%Y-%m-%d")])


def processor() -> str:
    """The processor's name, its family and model, which a virtual machine tells even if the name says little."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in told:
        return platform.processor() or platform.machine()
    return f"{told['model name']} (family {told.get('cpu family', '?')}, model {told.get('model', '?')})"


def images(batch: int) -> np.ndarray:
    """The same random pictures in every process."""
    return np.random.default_rng(0).standard_normal((batch, 3, 224, 224), np.float32)


def seconds(run: Callable[[], Any], at_least: float = 0.1) -> float:
    """Per call, of as many calls as take a tenth of a second."""
    calls, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < at_least:
        run()
        calls += 1
    return passed / calls


def weighed(run: Callable[[], Any]) -> tuple[float, float]:
    """The seconds of one call, and by how many MB this process grows at most meanwhile.

    Linux keeps the largest size since it was told to.
    """
    Path("/proc/self/clear_refs").write_text("5")
    before, start = _status("VmRSS"), time.perf_counter()
    run()
    return time.perf_counter() - start, max(0, _status("VmHWM") - before) / 1024  # it counts in batches, late


def _status(name: str) -> int:
    # In kB.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def quartiles(values: list[float]) -> str:
    """The median, and the middle half."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def mostly_above(limit: float, values: list[float]) -> bool:
    """Whether three of four are: where only half are, another run may well find fewer."""
    return statistics.quantiles(values, n=4)[0] > limit


Medians = dict[tuple[str, int], dict[str, float]]
"""For each network and batch, by name what was measured."""


def summary(medians: Medians, columns: tuple[str, ...]) -> str:
    """A short table: a row for each network, and in each cell the medians of its batches."""
    batches = list(dict.fromkeys(batch for _, batch in medians))
    lines = [f"| batch {' / '.join(map(str, batches))} | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for spec in dict.fromkeys(spec for spec, _ in medians):
        found = [medians[spec, batch] for batch in batches]
        cells = (" / ".join(f"{one[name]:.2f}" for one in found if name in one) for name in columns)
        lines.append(f"| {spec.partition(':')[2]} | {' | '.join(cells)} |")
    return "\n".join(lines)
