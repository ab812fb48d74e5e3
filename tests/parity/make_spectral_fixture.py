"""Records pytorch-grad-cam's spectral maps on real weights and photos in `spectral.npz`; run as `make_fixture.py`.

What is recorded is what `get_cam_image` returns, before anything is clipped, normalised or resized. Its sign is that
of the singular vector that LAPACK happened to return, so it says nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests import data
from tests.parity.networks import NETWORKS

FIXTURE = Path(__file__).with_name("spectral.npz")
NETWORK, LAYER, PHOTOS = "squeezenet1_1", "features.12", 20


def record(x: torch.Tensor, labels: list[int], module: torch.nn.Module) -> dict[str, np.ndarray]:
    """The maps [N, h, w] of each method, from feature maps and gradients of the labelled logits."""
    # imported here, so that this file can be read where the library is not installed
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layer = module.get_submodule(LAYER)
    targets: list[Any] = [ClassifierOutputTarget(label) for label in labels]
    with pytorch_grad_cam.GradCAM(module, [layer]) as cam:
        cam(x, targets)
        (activations,), (gradients,) = cam.activations_and_grads.activations, cam.activations_and_grads.gradients
        A, G = activations.numpy(), gradients.numpy()
        maps = {"Principal": cam.get_cam_image(x, layer, targets, A, G, True)}
    for name in ("EigenCAM", "EigenGradCAM", "KPCA_CAM"):
        with getattr(pytorch_grad_cam, name)(module, [layer]) as cam:
            maps[name.replace("_", "")] = cam.get_cam_image(x, layer, targets, A, G, False)
    return {name: np.asarray(found, np.float32) for name, found in maps.items()}


def main() -> None:
    """Records every method for the first photos."""
    if "CAMJAX_DATA" not in os.environ:
        raise SystemExit("set CAMJAX_DATA to the folder that holds the real weights and photos")
    network = next(network for network in NETWORKS if network.name == NETWORK)
    photos = data.photos(PHOTOS)
    x = torch.from_numpy(data.batch([photo.path for photo in photos], network.style, "NCHW"))
    maps = record(x, [photo.label for photo in photos], network.load())
    np.savez_compressed(FIXTURE, **maps)
    print({name: found.shape for name, found in maps.items()})


if __name__ == "__main__":
    main()
