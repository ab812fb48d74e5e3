"""Claim: explaining a batch takes the memory of its forward pass and of what is returned, and less than the peers.

    .venv/bin/python benchmarks/memory.py --peers PEERS/bin/python [--batches 1 32] [--repetitions 3]

The peak memory of whole processes, as `/usr/bin/time` tells it: each starts, reads a network of torchvision's (random
weights; camjax the file that `camjax_torch.save` wrote, the peers the checkpoint), compiles if it has to, and once
explains a batch, or runs it forward. In megabytes, medians. The first table has Grad-CAM with ResNet-50; "beside
nothing" is what it takes more than a process that ends when it has the network and the pictures. camjax's forward pass
is that of the traced network, with what a CPU is faster at in the place of convolutions. camjax returns heatmaps and
the layer's maps; pytorch-grad-cam heatmaps; torchcam and captum the layer's maps. With a single picture, what compiling
takes is most of it. The second has Score-CAM of one picture with ResNet-18, as many evaluations at once as camjax takes
on a CPU, or 32, as torchcam takes. Exits with 1 if at a batch larger than one camjax's Grad-CAM takes 1.1 times as much
as its own forward pass, or more than a peer's; or its Score-CAM more than pytorch-grad-cam's.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from _timing import setting
from cold_start import Run, measure

TOLERANCE = 1.1
PREPARE = """
import torch, camjax_torch
from camjax_torch import zoo
for name in ("resnet18", "resnet50"):
    torch.manual_seed(0)
    torch.save(zoo.entry(f"torchvision:{name}").make(False, None).state_dict(), f"{name}.pth")
    camjax_torch.save(zoo.build(f"torchvision:{name}", weights=f"{name}.pth"), f"{name}.safetensors")
"""
PICTURES = "numpy.random.default_rng(0).standard_normal((int(sys.argv[2]), 3, 224, 224), numpy.float32)"
CAMJAX = f"""
import sys, numpy, jax, camjax, camjax_torch
model, x = camjax_torch.load(sys.argv[1] + ".safetensors"), jax.numpy.asarray({PICTURES})
"""
TORCH = f"""
import sys, numpy, torch, torchvision
model, x = torchvision.models.get_model(sys.argv[1]).eval(), torch.from_numpy({PICTURES})
model.load_state_dict(torch.load(sys.argv[1] + ".pth"))
"""
GRADIENT = {
    "camjax, nothing": "",
    "camjax, forward pass": """
cut = camjax.split(model, x)
jax.block_until_ready(jax.jit(lambda params, x: cut.head(params, *cut.features(params, x)))(model.params, x))
""",
    "camjax, Grad-CAM": "jax.block_until_ready(camjax.explain(model, x, 1))",
    "camjax, Grad-CAM, 1000 classes' own maps": """
jax.block_until_ready(camjax.explain(model, x, jax.numpy.arange(1000)[None], size=None))
""",
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

SCORE = {
    "camjax": "jax.block_until_ready(camjax.explain(model, x, 1, method=camjax.ScoreCAM(), strict=False))",
    "camjax, `chunk=32`": """
jax.block_until_ready(camjax.explain(model, x, 1, method=camjax.ScoreCAM(), chunk=32, strict=False))
""",
    "pytorch-grad-cam": """
from pytorch_grad_cam import ScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
with ScoreCAM(model, [model.layer4]) as cam:
    cam(x, [ClassifierOutputTarget(1)])
""",
    "torchcam": """
from torchcam.methods import ScoreCAM
with ScoreCAM(model, model.layer4) as cam, torch.no_grad():
    cam(1, model(x))
""",
}


def peaks(scripts: dict[str, str], peers: str, folder: str, network: str, batch: int, times: int) -> dict[str, Run]:
    """The medians of each script's processes, which take turns."""
    runs: dict[str, list[Run]] = {name: [] for name in scripts}
    for _ in range(times):
        for name, script in scripts.items():
            ours = name.startswith("camjax")
            command = [sys.executable, "-c", CAMJAX + script] if ours else [peers, "-c", TORCH + script]
            runs[name].append(measure([*command, network, str(batch)], folder))
    return {name: Run(*map(statistics.median, zip(*found, strict=True))) for name, found in runs.items()}


def main() -> int:
    """Measures, prints the tables and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", required=True, help="the Python of the peers' environment")
    parser.add_argument("--batches", nargs="+", type=int, default=(1, 8, 32))
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    peers, times = str(Path(options.peers).absolute()), options.repetitions

    with tempfile.TemporaryDirectory() as folder:
        measure([sys.executable, "-c", PREPARE], folder)
        found = {batch: peaks(GRADIENT, peers, folder, "resnet50", batch, times) for batch in options.batches}
        score = peaks(SCORE, peers, folder, "resnet18", 1, times)

    print(setting("camjax", "jax", "torch"), end="\n\n")
    print(f"| | {' | '.join(f'batch {batch} | beside nothing' for batch in found)} |\n|{'---|' * (1 + 2 * len(found))}")
    for name in GRADIENT:
        nothing = "camjax, nothing" if name.startswith("camjax") else "PyTorch, nothing"
        pairs = ((runs[name].megabytes, runs[nothing].megabytes) for runs in found.values())
        print(f"| {name} | {' | '.join(f'{peak:.0f} | {peak - other:.0f}' for peak, other in pairs)} |")
    print("\n| Score-CAM of one picture | peak memory | seconds of the whole process |\n|---|---|---|")
    for name, run in score.items():
        print(f"| {name} | {run.megabytes:.0f} | {run.seconds:.1f} |")
    holds = score["camjax"].megabytes <= score["pytorch-grad-cam"].megabytes
    for runs in (runs for batch, runs in found.items() if batch > 1):
        ours = runs["camjax, Grad-CAM"].megabytes
        holds &= ours <= TOLERANCE * runs["camjax, forward pass"].megabytes
        holds &= ours <= min(runs[name].megabytes for name in ("pytorch-grad-cam", "torchcam", "captum"))
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
