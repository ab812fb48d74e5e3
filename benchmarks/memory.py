"""Claim: explaining takes the memory of the network's forward pass and of what is returned, and less than the peers.

    .venv/bin/python benchmarks/memory.py --peers PEERS/bin/python [--batches 1 32] [--repetitions 3]

The peak memory of whole processes, as `/usr/bin/time` tells it: each starts, reads torchvision's ResNet-50 (random
weights; camjax the file that `camjax_torch.save` wrote, the peers the checkpoint), compiles if it has to, and once
explains a batch, or runs it forward. In megabytes, medians. "Beside nothing" is what it takes more than a process that
ends when it has the network and the pictures. camjax's forward pass is that of the traced network, with what a CPU is
faster at in the place of convolutions. camjax returns heatmaps and the layer's maps; pytorch-grad-cam heatmaps;
torchcam and captum the layer's maps. Prints a Markdown table and exits with 1 if camjax's Grad-CAM takes 1.1 times as
much as its own forward pass, or more than pytorch-grad-cam at the largest batch.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from cold_start import PREPARE, measure

TOLERANCE = 1.1
PICTURES = "numpy.random.default_rng(0).standard_normal((int(sys.argv[1]), 3, 224, 224), numpy.float32)"
CAMJAX = f"""
import sys, numpy, jax, camjax, camjax_torch
model, x = camjax_torch.load("resnet50.safetensors"), jax.numpy.asarray({PICTURES})
"""
TORCH = f"""
import sys, numpy, torch, torchvision
model, x = torchvision.models.resnet50().eval(), torch.from_numpy({PICTURES})
model.load_state_dict(torch.load("resnet50.pth"))
"""
OURS = {
    "camjax, nothing": "",
    "camjax, forward pass": """
cut = camjax.split(model, x)
jax.block_until_ready(jax.jit(lambda params, x: cut.head(params, *cut.features(params, x)))(model.params, x))
""",
    "camjax, Grad-CAM": "jax.block_until_ready(camjax.explain(model, x, 1))",
    "camjax, Grad-CAM, 1000 classes' own maps": """
jax.block_until_ready(camjax.explain(model, x, jax.numpy.arange(1000)[None], size=None))
""",
}
THEIRS = {
    "PyTorch, nothing": "",
    "PyTorch, forward pass": "with torch.inference_mode(): model(x)",
    "pytorch-grad-cam": """
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
with GradCAM(model, [model.layer4]) as cam:
    cam(x, [ClassifierOutputTarget(1)] * len(x))
""",
    "torchcam": """
from torchcam.methods import GradCAM
with GradCAM(model, model.layer4) as cam:
    cam(1, model(x))
""",
    "captum": """
from captum.attr import LayerGradCam
LayerGradCam(model, model.layer4).attribute(x, target=1)
""",
}


def main() -> int:
    """Measures, prints the table and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", required=True, help="the Python of the peers' environment")
    parser.add_argument("--batches", nargs="+", type=int, default=(1, 8, 32))
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    theirs = str(Path(options.peers).absolute())
    scripts = {name: [sys.executable, "-c", CAMJAX + script] for name, script in OURS.items()}
    scripts |= {name: [theirs, "-c", TORCH + script] for name, script in THEIRS.items()}

    peaks: dict[int, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        measure([sys.executable, "-c", PREPARE], folder)
        for batch in options.batches:
            runs: dict[str, list[float]] = {name: [] for name in scripts}
            for _ in range(options.repetitions):
                for name, command in scripts.items():
                    runs[name].append(measure([*command, str(batch)], folder).megabytes)
            peaks[batch] = {name: statistics.median(found) for name, found in runs.items()}

    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("camjax", "jax", "torch"))
    print(f"{len(os.sched_getaffinity(0))} cores, {versions}, {time.strftime('%Y-%m-%d')}\n")
    print(f"| | {' | '.join(f'batch {batch} | beside nothing' for batch in peaks)} |\n|{'---|' * (1 + 2 * len(peaks))}")
    for name in scripts:
        nothing = next(one for one in scripts if one.endswith("nothing") and (one in OURS) == (name in OURS))
        cells = (f"{found[name]:.0f} | {found[name] - found[nothing]:.0f}" for found in peaks.values())
        print(f"| {name} | {' | '.join(cells)} |")
    holds = all(found["camjax, Grad-CAM"] <= TOLERANCE * found["camjax, forward pass"] for found in peaks.values())
    largest = peaks[max(peaks)]
    holds &= largest["camjax, Grad-CAM"] <= largest["pytorch-grad-cam"]
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
