"""Records pytorch-grad-cam's FullGrad on a small network in `fullgrad.npz`.

To regenerate it, from the root of the repository, with the Python of an environment that has pytorch-grad-cam 1.5.7
and torch (`benchmarks/README.md` says how to make one): `PEERS/bin/python -m tests.parity.make_fullgrad_fixture`.

What is recorded is the sum of all shares, before the library scales it to 0..1 for the last time.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import numpy as np
import torch
from torch import nn

FIXTURE = Path(__file__).with_name("fullgrad.npz")
PACKAGES = ("grad-cam", "torch", "numpy")
TARGETS = [0, 2, 1]


def network() -> nn.Module:
    """A convolution with a bias, ReLU6, a batch normalisation, ReLU and a classifier; all weights from numpy."""
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU6(),
        nn.Conv2d(4, 5, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 3),
    ).eval()
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                new = (
                    rng.uniform(0.5, 2, tensor.shape) if name.endswith("running_var") else rng.normal(size=tensor.shape)
                )
                tensor.copy_(torch.from_numpy(new))
    return module


def pictures() -> np.ndarray:
    """Three of them, NCHW."""
    return np.random.default_rng(1).normal(size=(3, 3, 9, 9)).astype(np.float32)


def main() -> None:
    """Records the maps [3, 9, 9]."""
    # imported here, so that this file can be read where the library is not installed
    from pytorch_grad_cam import FullGrad
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with FullGrad(network(), []) as cam:
        x = torch.from_numpy(pictures()).requires_grad_()
        targets = [ClassifierOutputTarget(c) for c in TARGETS]
        cam.aggregate_multi_layers = lambda layers: layers.sum(1)
        maps = cam(x, targets)
    versions = np.array([f"{name} {importlib.metadata.version(name)}" for name in PACKAGES])
    np.savez_compressed(FIXTURE, maps=maps.astype(np.float32), versions=versions)
    print(maps.shape, maps.min(), maps.max(), FIXTURE.stat().st_size)


if __name__ == "__main__":
    main()
