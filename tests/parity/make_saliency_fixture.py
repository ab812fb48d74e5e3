"""Records Guided Backpropagation and DeconvNet of captum and pytorch-grad-cam in `saliency.npz`.

To regenerate it, from the root of the repository, with the Python of an environment that has captum 0.9.0,
pytorch-grad-cam 1.5.7, torch and torchvision (`benchmarks/README.md` says how to make one):

    CAMJAX_DATA=... PEERS/bin/python -m tests.parity.make_saliency_fixture

Both libraries act on modules: captum hooks every `nn.ReLU`, pytorch-grad-cam puts another module in the place of each.
A ReLU that is called as a function, and `nn.ReLU6`, which is no subclass, are left as they are, and nothing is said. So
SqueezeNet 1.1, all of whose ReLUs are modules, is where they follow the paper; `Mixed` shows where they do not.

Everything is in float64: in float32 a ReLU's input within rounding of zero turns a gradient on or off. Of each map
every 28th pixel is kept, and for every picture and colour the sum of all values and of their magnitudes.
"""

from __future__ import annotations

import importlib.metadata
import os
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests import data
from tests.parity.networks import NETWORKS

FIXTURE = Path(__file__).with_name("saliency.npz")
PACKAGES = ("captum", "grad-cam", "torch", "torchvision", "numpy", "pillow")
PHOTOS = 20


class Mixed(nn.Module):
    """A hidden layer with a functional ReLU, one with a `ReLU6`, one with a `ReLU` module; seeded weights."""

    def __init__(self) -> None:
        super().__init__()
        draw = np.random.default_rng(7).normal
        self.weights = nn.ParameterList(torch.from_numpy(draw(size=s)) for s in ((6, 8), (8, 8), (8, 8), (8, 3)))
        self.six, self.relu = nn.ReLU6(), nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second, third, out = self.weights
        return self.relu(self.six(torch.relu(x @ first) @ second) @ third) @ out


def mixed_inputs() -> np.ndarray:
    """The inputs of `Mixed`."""
    return np.random.default_rng(8).normal(size=(4, 6))


def kept(values: np.ndarray) -> np.ndarray:
    """Every 28th pixel of maps [N, colours, h, w]."""
    return values[:, :, 3::28, 3::28]


def sums(values: np.ndarray) -> np.ndarray:
    """[N, colours, 2]: the sum of a map's values, and of their magnitudes."""
    return np.stack([values.sum((2, 3)), np.abs(values).sum((2, 3))], -1)


def with_captum(method: str, module: nn.Module, x: torch.Tensor, labels: list[int]) -> np.ndarray:
    """captum's values, for `GuidedBackprop` or `Deconvolution`."""
    import captum.attr  # imported here, so that this file can be read where the library is not installed

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # captum says that it sets hooks
        return getattr(captum.attr, method)(module).attribute(x, target=labels).detach().numpy()


def with_pytorch_grad_cam(module: nn.Module, x: torch.Tensor, labels: list[int]) -> np.ndarray:
    """pytorch-grad-cam's values, one picture after the other, colours first."""
    from pytorch_grad_cam import GuidedBackpropReLUModel

    guided = GuidedBackpropReLUModel(module, device="cpu")
    return np.stack([guided(x[i : i + 1], label).transpose(2, 0, 1) for i, label in enumerate(labels)])


def main() -> None:
    """Records both libraries on SqueezeNet, and captum on `Mixed`."""
    if "CAMJAX_DATA" not in os.environ:
        raise SystemExit("set CAMJAX_DATA to the folder that holds the real weights and photos")
    photos = data.photos()[::3][:PHOTOS]
    labels = [photo.label for photo in photos]
    record = {
        "files": np.array([photo.path.name for photo in photos]),
        "targets": np.array(labels, np.int32),
        "versions": np.array([f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]),
    }
    network = next(network for network in NETWORKS if network.name == "squeezenet1_1")
    module = network.load("float64")
    for child in module.modules():
        if isinstance(child, nn.ReLU):
            child.inplace = False  # captum's hooks need the ReLU's input
    x = torch.from_numpy(data.batch([photo.path for photo in photos], network.style, "NCHW").astype("float64"))
    found = {
        "captum/GuidedBackprop": with_captum("GuidedBackprop", module, x, labels),
        "captum/Deconvolution": with_captum("Deconvolution", module, x, labels),
        "pytorch_grad_cam/GuidedBackprop": with_pytorch_grad_cam(module, x, labels),
    }
    for name, values in found.items():
        record[name] = kept(values).astype(np.float32)
        record[f"{name}/sums"] = sums(values)
        print(name, values.shape)
    mixed = torch.from_numpy(mixed_inputs())
    record["mixed/captum/GuidedBackprop"] = with_captum("GuidedBackprop", Mixed(), mixed, [0] * len(mixed))
    np.savez_compressed(FIXTURE, **record)
    print(f"{FIXTURE.name}: {FIXTURE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
