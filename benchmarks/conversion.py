"""Claim: a PyTorch network is converted in seconds, and beside the module needs no more memory than its weights once.

    .venv/bin/python benchmarks/conversion.py

Each network of the table is made with random weights and converted in a fresh process, after a small one that loads
what every conversion needs. The time is that of `camjax_torch.from_torch` (one call, nothing else); the memory, how
far the process grew at its peak beyond what it held with the module in it. Prints a Markdown table and exits with 1
if a network takes longer than the time beside it or more memory than its weights and 100 MB for the program.
"""

import re
import subprocess
import sys
import time
from pathlib import Path

from _timing import setting

LIMITS = {
    "torchvision:resnet50": 10,
    "torchvision:vgg16": 10,
    "torchvision:convnext_tiny": 20,
    "timm:vit_base_patch16_224": 20,
}
PROGRAM_MB = 100


def megabytes(key: str) -> float:
    """What Linux says of this process: `VmRSS` now, `VmHWM` at its peak."""
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def convert(spec: str) -> None:
    """Prints seconds, the weights' megabytes, and the peak's beyond the module."""
    import camjax_torch
    import jax
    import torch
    from camjax_torch import zoo

    camjax_torch.from_torch(torch.nn.Conv2d(3, 8, 3), torch.zeros(1, 3, 5, 5))
    module, example = zoo.entry(spec).make(False, None).eval(), torch.zeros(1, 3, 224, 224)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values()) / 2**20
    before = megabytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    start = time.perf_counter()
    jax.block_until_ready(camjax_torch.from_torch(module, example).params)
    print(time.perf_counter() - start, weights, megabytes("VmHWM") - before)


def main() -> int:
    """Measures, prints the table and judges the claim."""
    print(setting("jax", "torch"), end="\n\n")
    print("| network | conversion | weights | peak beyond the module |\n|---|---|---|---|")
    holds = True
    for spec, limit in LIMITS.items():
        done = subprocess.run([sys.executable, __file__, spec], check=True, capture_output=True, text=True)
        seconds, weights, peak = map(float, done.stdout.split())
        print(f"| {spec} | {seconds:.1f} s (at most {limit} s) | {weights:.0f} MB | {peak:.0f} MB |", flush=True)
        holds &= seconds <= limit and peak <= weights + PROGRAM_MB
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main() if len(sys.argv) == 1 else convert(sys.argv[1]))
