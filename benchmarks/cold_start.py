"""Claim: `camjax explain`, from nothing to a picture on disk, is over before the peers are even imported.

    .venv/bin/python benchmarks/cold_start.py --peers PEERS/bin/python

Runs commands by turns, each in a fresh process, after one unmeasured round that warms the file cache. With the embedded
network: `camjax explain` (starts, loads, compiles, explains, writes the panel) beside `import torch, pytorch_grad_cam`
with the peers' Python (nothing is explained). With a checkpoint of torchvision's ResNet-50 and a photo: the peers'
shortest script; camjax, which converts the checkpoint first; camjax with the converted file that `camjax_torch.save`
wrote, which needs no torch; and that with JAX's own compilation cache, which the unmeasured round has filled. Wall
time, processor time and peak memory are those of `/usr/bin/time`. Prints a Markdown table and exits with 1 if, in the
median wall time, the first takes longer than the peers' import, the converted file longer than the peers' script, or
the cache saves nothing.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from _timing import setting

PEERS_IMPORT = "import torch, pytorch_grad_cam"
PEERS_SCRIPT = """
import numpy, sys, torch, torchvision
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import show_cam_on_image
model = torchvision.models.resnet50()
model.load_state_dict(torch.load(sys.argv[1]))
photo = Image.open(sys.argv[2]).convert("RGB")
as_trained = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms()
shown = numpy.asarray(photo.resize((224, 224)), numpy.float32) / 255
with GradCAM(model.eval(), [model.layer4]) as cam:
    heatmap = cam(as_trained(photo)[None], None)[0]
Image.fromarray(show_cam_on_image(shown, heatmap, use_rgb=True)).save("out.png")
"""
PREPARE = """
import torch, numpy, camjax_torch
from PIL import Image
from camjax_torch import zoo
torch.manual_seed(0)
torch.save(zoo.entry("torchvision:resnet50").make(False, None).state_dict(), "resnet50.pth")
camjax_torch.save(zoo.build("torchvision:resnet50", weights="resnet50.pth"), "resnet50.safetensors")
noise = numpy.random.default_rng(0).integers(0, 256, (12, 16, 3), numpy.uint8)
Image.fromarray(noise).resize((640, 480)).save("photo.jpg")
"""
PEERS_VERSIONS = (
    "import platform, importlib.metadata as m; "
    "names = ('torch', 'grad-cam'); "
    "print(', '.join(f'{p} {m.version(p)}' for p in names) + ', Python ' + platform.python_version())"
)


class Run(NamedTuple):
    """What `/usr/bin/time` says about one process."""

    seconds: float
    processor: float
    megabytes: float


def measure(command: list[str], cwd: str, **variables: str) -> Run:
    """Runs `command` in a process of its own, in a folder; ends with its message if it fails."""
    with tempfile.NamedTemporaryFile("r") as report:
        timed = ["/usr/bin/time", "--format=%e %U %S %M", f"--output={report.name}", *command]
        done = subprocess.run(timed, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed: {done.stderr}")
        seconds, user, system, kilobytes = map(float, report.read().split())
    return Run(seconds, user + system, kilobytes / 1024)


def row(what: str, runs: list[Run]) -> str:
    """One line of the table: medians, and the fastest and the slowest run."""
    wall, processor, memory = (statistics.median(column) for column in zip(*runs, strict=True))
    fastest, slowest = min(run.seconds for run in runs), max(run.seconds for run in runs)
    return f"| {what} | {wall:.2f} s ({fastest:.2f} to {slowest:.2f}) | {processor:.2f} s | {memory:.0f} MB |"


def main() -> int:
    """Measures, prints the table and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", required=True, help="the Python of the peers' environment")
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    peers = str(Path(options.peers).absolute())
    camjax = str(Path(sys.executable).with_name("camjax"))

    cached = {"JAX_COMPILATION_CACHE_DIR": "cache", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    explain, network = [camjax, "explain"], ["--model", "torchvision:resnet50", "--weights", "resnet50.pth"]
    saved = [*explain, "photo.jpg", "--model", "torch:resnet50.safetensors"]
    script = [peers, "-c", PEERS_SCRIPT, "resnet50.pth", "photo.jpg"]
    commands: dict[str, tuple[list[str], dict[str, str]]] = {
        "`camjax explain`: start, compile, explain, write the picture": (explain, {}),
        f"peers: `{PEERS_IMPORT}`, nothing explained": ([peers, "-c", PEERS_IMPORT], {}),
        "ResNet-50's checkpoint, `camjax explain`: converted, too": ([*explain, "photo.jpg", *network], {}),
        "the converted file, `camjax explain`": (saved, {}),
        "the converted file and JAX's compilation cache": (saved, cached),
        "ResNet-50's checkpoint, the peers' shortest script": (script, {}),
    }
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as folder:
        measure([sys.executable, "-c", PREPARE], folder)
        for turn in range(1 + options.repetitions):
            for name, (command, variables) in commands.items():
                run = measure(command, folder, **variables)
                runs[name] += [run] if turn else []

    theirs = subprocess.run([peers, "-c", PEERS_VERSIONS], check=True, capture_output=True, text=True).stdout.strip()
    here = setting("camjax", "jax", also=f"Python {platform.python_version()}")
    print(f"Median of {options.repetitions} (fastest to slowest). {here}; the peers with {theirs}.\n")
    print("| from nothing to a picture on disk | wall time | processor time | peak memory |\n|---|---|---|---|")
    for name, found in runs.items():
        print(row(name, found))
    embedded, imported, _, converted, again, scripted = (
        statistics.median(run.seconds for run in found) for found in runs.values()
    )
    holds = embedded < imported and converted < scripted and again < converted
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
