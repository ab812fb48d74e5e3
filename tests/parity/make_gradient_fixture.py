"""Records what pytorch-grad-cam, torchcam and captum make of a layer's feature maps and gradients, in `gradient.npz`.

To regenerate it, from the root of the repository, with the Python of an environment that has pytorch-grad-cam 1.5.7,
torchcam 0.5.0, captum 0.9.0, torch and torchvision (`README.md` beside this file says how to make one):

    CAMJAX_DATA=... PEERS/bin/python -m tests.parity.make_gradient_fixture

The layers are inner ones, where the methods differ most, and everything is in float64, because in float32 a ReLU's
input within rounding of zero turns a gradient on or off. The libraries are given what follows the layer as a module
of its own, whose first layer hands the layer's feature maps on: so nothing before it is differentiated.

Recorded are raw maps at the layer's resolution: for pytorch-grad-cam what `get_cam_image` returns, for torchcam the map
with `normalized=False`, which has no negative values, and for captum the attributions summed over channels. Keys are
`network/library/method`.
"""

from __future__ import annotations

import importlib.metadata
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tests import data
from tests.parity.networks import NETWORKS

FIXTURE = Path(__file__).with_name("gradient.npz")
PACKAGES = ("grad-cam", "torchcam", "captum", "torch", "torchvision", "numpy", "pillow")
LAYERS = {"squeezenet1_1": 9, "mobilenet_v2_tfsame": 16}  # of `features`
PHOTOS = 20
STEPS = 8  # of integrated gradients


def with_pytorch_grad_cam(head: nn.Module, A: torch.Tensor, labels: list[int]) -> dict[str, Any]:
    """pytorch-grad-cam's maps of the labelled logits; of ShapleyCAM for the residual-softmax utility as well."""
    # imported here, as below, so that this file can be read where the libraries are not installed
    import pytorch_grad_cam
    from pytorch_grad_cam.utils import model_targets

    def raw(name: str, targets: Any) -> np.ndarray:
        found = []
        with getattr(pytorch_grad_cam, name)(head, [head.get_submodule("0")]) as cam:
            base = getattr(cam, "base_cam", cam)
            image = base.get_cam_image
            base.get_cam_image = lambda *given: found.append(image(*given)) or found[-1]
            cam(A, targets)
        return found[0]

    logits = [model_targets.ClassifierOutputTarget(label) for label in labels]
    plain = ("GradCAMPlusPlus", "XGradCAM", "GradCAMElementWise", "FEM")
    found = {name: raw(name, logits) for name in plain}
    found["ShapleyCAM"] = raw("ShapleyCAM", [model_targets.ClassifierOutputReST(label) for label in labels])
    return found | {"FinerCAM": raw("FinerCAM", None)}  # of the predicted class: it takes its own target alone


def with_torchcam(head: nn.Module, A: torch.Tensor, labels: list[int]) -> dict[str, Any]:
    """torchcam's maps; of Smooth Grad-CAM++ practically without noise, which leaves its formula."""
    from torchcam import methods

    def raw(name: str, **options: Any) -> np.ndarray:
        with getattr(methods, name)(head, "0", **options) as extractor:
            (found,) = extractor(labels, head(A), normalized=False)
        return found.detach().numpy()

    found = {name: raw(name) for name in ("GradCAM", "GradCAMpp", "XGradCAM", "LayerCAM", "FinerCAM")}
    return found | {"SmoothGradCAMpp": raw("SmoothGradCAMpp", num_samples=2, std=1e-12)}


def with_captum(head: nn.Module, A: torch.Tensor, labels: list[int]) -> dict[str, Any]:
    """captum's maps; those of the path, and of DeepLIFT as weights of channels, start at feature maps of zeros."""
    from captum import attr

    first = head.get_submodule("0")
    grad_cam = attr.LayerGradCam(head, first).attribute(A, labels)[:, 0]
    product = attr.LayerGradientXActivation(head, first).attribute(A, labels).sum(1)
    path = attr.IntegratedGradients(head).attribute(A, target=labels, n_steps=STEPS, method="riemann_middle").sum(1)
    found = {"LayerGradCam": grad_cam, "LayerGradientXActivation": product, "IntegratedGradients": path}
    if not any(isinstance(child, nn.ReLU6) for child in head.modules()):  # which its DeepLIFT does not know
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # captum says that it sets hooks
            shares = attr.DeepLift(head).attribute(A, target=labels)
        found["DeepLift"] = (shares.sum((2, 3), keepdim=True) * A).sum(1)
    return {name: values.detach().numpy() for name, values in found.items()}


def cut(name: str, module: Any) -> tuple[nn.Module, nn.Module]:
    """A network up to the layer, and what follows it."""
    for child in module.modules():
        if isinstance(child, nn.ReLU):
            child.inplace = False  # captum's hooks need the ReLU's input
    after = LAYERS[name] + 1
    pool = () if name == "squeezenet1_1" else (nn.AdaptiveAvgPool2d(1), nn.Flatten())
    rest = (*module.features[after:], *pool, *module.classifier, nn.Flatten())
    return module.features[:after], nn.Sequential(nn.Identity(), *rest).eval()


def main() -> None:
    """Records every library on both networks."""
    if "CAMJAX_DATA" not in os.environ:
        raise SystemExit("set CAMJAX_DATA to the folder that holds the real weights and photos")
    photos = data.photos()[::3][:PHOTOS]
    labels = [photo.label for photo in photos]
    record = {
        "files": np.array([photo.path.name for photo in photos]),
        "targets": np.array(labels, np.int32),
        "versions": np.array([f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]),
    }
    for network in NETWORKS:
        before, head = cut(network.name, network.load("float64"))
        x = torch.from_numpy(data.batch([photo.path for photo in photos], network.style, "NCHW").astype("float64"))
        with torch.no_grad():
            A = before(x)
        A.requires_grad_()
        found = {
            "pytorch_grad_cam": with_pytorch_grad_cam(head, A, labels),
            "torchcam": with_torchcam(head, A, labels),
            "captum": with_captum(head, A, labels),
        }
        for library, maps in found.items():
            for method, values in maps.items():
                record[f"{network.name}/{library}/{method}"] = np.asarray(values, np.float32)
                print(network.name, library, method, np.shape(values), np.max(values))
    np.savez_compressed(FIXTURE, **record)
    print(f"{FIXTURE.name}: {FIXTURE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
