"""Records what pytorch-grad-cam, torchcam and captum make of evaluating a model many times, in `evaluation.npz`.

To regenerate it, from the root of the repository, with the Python of an environment that has pytorch-grad-cam 1.5.7,
torchcam 0.5.0, captum 0.9.0 and torch (`README.md` beside this file says how to make one):

    CAMJAX_DATA=... PEERS/bin/python -m tests.parity.make_evaluation_fixture

The network is a ResNet-20 for CIFAR-10, cheap enough for one evaluation per channel, and the photos are brought
to its 32x32 pixels. Explained are the class that it predicts, for the first half of the photos, and the class of the
lowest logit, which is negative, for the others. In float32, as people run it, but for the gradients along a path.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from tests import data
from tests.adapters.torch.cifar import ResNet20

FIXTURE = Path(__file__).with_name("evaluation.npz")
PACKAGES = ("grad-cam", "torchcam", "captum", "torch", "numpy", "pillow")
PHOTOS = 20
LAYER, SIGNED = "layer3", "layer3.2.bn2"  # behind a ReLU, and with values of both signs
PATCH, STRIDE = 8, 4  # of occlusion
STEPS = 16  # of integrated gradients
SAMPLES = 2  # of IS-CAM


def network() -> nn.Module:
    """The ResNet-20 with its pretrained weights."""
    state = torch.load(data.checkpoint("cifar10_resnet20-12fca82f.th"), map_location="cpu", weights_only=True)
    module = ResNet20()
    module.load_state_dict({key.removeprefix("module."): value for key, value in state["state_dict"].items()})
    return module.eval()


def pictures(paths: list[Path]) -> np.ndarray:
    """The photos as [N, 3, 32, 32]."""
    x = np.stack([data.pixels(path, 32, 32) for path in paths]) / 255
    return np.ascontiguousarray(((x - data.IMAGENET_MEAN) / data.IMAGENET_STD).transpose(0, 3, 1, 2), np.float32)


def with_pytorch_grad_cam(name: str, module: nn.Module, layer: str, x: torch.Tensor, labels: list[int]) -> np.ndarray:
    """The library's map before it is clipped, normalised and resized."""
    # imported here, as below, so that this file can be read where the libraries are not installed
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    found = []
    with getattr(pytorch_grad_cam, name)(module, [module.get_submodule(layer)]) as cam:
        image = cam.get_cam_image
        cam.get_cam_image = lambda *given: found.append(image(*given)) or found[-1]
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
            cam(x, [ClassifierOutputTarget(label) for label in labels])
    return found[0]


def with_torchcam(name: str, module: nn.Module, x: torch.Tensor, labels: list[int], **options: int) -> np.ndarray:
    """The library's map, without negative values, before it is normalised."""
    from torchcam import methods

    with getattr(methods, name)(module, LAYER, **options) as extractor, torch.no_grad():
        return extractor(labels, module(x), normalized=False)[0].numpy()


def with_captum(module: nn.Module, x: torch.Tensor, labels: list[int]) -> dict[str, Any]:
    """captum's occlusion and integrated gradients, summed over colours, and the fall of the score without a channel."""
    from captum import attr

    window, strides = (3, PATCH, PATCH), (3, STRIDE, STRIDE)
    falls = attr.Occlusion(module).attribute(x, window, strides, target=labels)
    found = {"Occlusion": falls[:, 0]}
    for name in (LAYER, SIGNED):
        one = torch.arange(64)[None, :, None, None].expand(1, 64, 8, 8)
        ablation = attr.LayerFeatureAblation(module, module.get_submodule(name))
        found[f"LayerFeatureAblation/{name}"] = ablation.attribute(x, target=labels, layer_mask=one)[:, :, 0, 0]
    path = attr.IntegratedGradients(module.double())
    shares = path.attribute(x.double(), target=labels, n_steps=STEPS, method="riemann_middle")
    module.float()
    return {name: values.detach().numpy() for name, values in (found | {"IntegratedGradients": shares.sum(1)}).items()}


def main() -> None:
    """Records every library."""
    if "CAMJAX_DATA" not in os.environ:
        raise SystemExit("set CAMJAX_DATA to the folder that holds the real weights and photos")
    module, paths = network(), [photo.path for photo in data.photos()[::3][:PHOTOS]]
    x = torch.from_numpy(pictures(paths))
    logits = module(x).detach()
    half = PHOTOS // 2
    labels = [*logits[:half].argmax(1).tolist(), *logits[half:].argmin(1).tolist()]
    found = {f"captum/{name}": values for name, values in with_captum(module, x, labels).items()}
    for name, layer in (("ScoreCAM", LAYER), ("AblationCAM", LAYER), ("AblationCAM", SIGNED)):
        found[f"pytorch_grad_cam/{name}/{layer}"] = with_pytorch_grad_cam(name, module, layer, x, labels)
    found["torchcam/ScoreCAM"] = with_torchcam("ScoreCAM", module, x, labels)
    found["torchcam/ISCAM"] = with_torchcam("ISCAM", module, x, labels, num_samples=SAMPLES)
    for name, values in found.items():
        print(name, values.shape, np.abs(values).max())
    np.savez_compressed(
        FIXTURE,
        files=np.array([path.name for path in paths]),
        targets=np.array(labels, np.int32),
        versions=np.array([f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]),
        **{name: np.asarray(values, np.float32) for name, values in found.items()},
    )
    print(f"{FIXTURE.name}: {FIXTURE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
