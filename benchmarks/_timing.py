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


def setting(*packages: str, device: str = platform.machine()) -> str:
    """Where, with what and when: what stands above each table."""
    versions = (f"{name} {importlib.metadata.version(name)}" for name in packages)
    return ", ".join([f"{CORES} cores ({device})", *versions, time.strftime("%Y-%m-%d")])


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


def memory(run: Callable[[], Any]) -> float:
    """By how many MB this process grows at most while it runs; Linux keeps the largest size since it was told to."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    run()
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> int:
    # In kB.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def quartiles(values: list[float]) -> str:
    """The median, and the middle half."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"
