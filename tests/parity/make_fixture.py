"""Records pytorch-grad-cam's maps on real weights and photos in `pytorch_grad_cam.npz`.

The test beside this file compares camjax with the record, so that it needs neither that library nor a
second environment. To regenerate it, from the root of the repository, with the Python of an environment
that has pytorch-grad-cam 1.5.7, torch and torchvision (`benchmarks/README.md` says how to make one):

    CAMJAX_DATA=... PEERS/bin/python -m tests.parity.make_fixture

What is recorded is the *raw coarse map*: what each method's `get_cam_image` returns from the feature maps
and gradients that the library's own hooks took while it explained the photos. What the library does with
it afterwards is left out on purpose, because it loses information or deviates: `compute_cam_per_layer`
clips at zero, subtracts the map's minimum, divides by its maximum plus 1e-7, and resizes the result to
the input with OpenCV; `aggregate_multi_layers` then does the same normalisation again. The script checks
that these steps, done to the recorded map, give the library's final output, so the record is what it used.

The target is the logit of each photo's label (`ClassifierOutputTarget`). Maps are stored as float32, whatever
precision they were computed in. Only maps, file names, labels
and versions are stored, no pictures.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import os
from pathlib import Path

import numpy as np
import torch

from tests import data
from tests.parity.networks import NETWORKS

METHODS = ("GradCAM", "HiResCAM", "LayerCAM")
FIXTURE = Path(__file__).with_name("pytorch_grad_cam.npz")
PACKAGES = ("grad-cam", "torch", "torchvision", "numpy", "pillow")


def raw_maps(method: str, module: torch.nn.Module, layer: str, x: torch.Tensor, labels: list[int]) -> np.ndarray:
    """The library's coarse maps [N, h, w] for one batch, before it clips, normalises and resizes them."""
    # imported here, so that this file can be read where the library is not installed
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.image import scale_cam_image
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    target_layer = module.get_submodule(layer)
    targets = [ClassifierOutputTarget(label) for label in labels]
    with getattr(pytorch_grad_cam, method)(module, [target_layer]) as cam:
        final = cam(x, targets)
        (activations,) = cam.activations_and_grads.activations
        (gradients,) = cam.activations_and_grads.gradients
        raw = cam.get_cam_image(x, target_layer, targets, activations.numpy(), gradients.numpy(), False)
    size = (x.shape[-1], x.shape[-2])
    replayed = scale_cam_image(scale_cam_image(np.maximum(raw, 0), size))
    np.testing.assert_allclose(replayed, final, atol=1e-6)
    return raw.astype(np.float32)


def main(batch: int = 17) -> None:
    """Records every method at every layer of every network, for every third labelled photo."""
    if "CAMJAX_DATA" not in os.environ:
        raise SystemExit("set CAMJAX_DATA to the folder that holds the real weights and photos")
    photos = data.photos()[::3]
    labels = [photo.label for photo in photos]
    record = {
        "files": np.array([photo.path.name for photo in photos]),
        "targets": np.array(labels, np.int32),
        "versions": np.array([f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]),
    }
    for network, method in itertools.product(NETWORKS, METHODS):
        for layer, dtype, count in network.cases:
            module = network.load(dtype)
            chunks = []
            for start in range(0, count, batch):
                part = slice(start, min(start + batch, count))
                x = data.batch([photo.path for photo in photos[part]], network.style, "NCHW").astype(dtype)
                chunks.append(raw_maps(method, module, layer, torch.from_numpy(x), labels[part]))
            key = f"{network.name}/{layer}/{method}"
            record[key] = np.concatenate(chunks)
            print(key, dtype, record[key].shape)
    np.savez_compressed(FIXTURE, **record)
    print(f"{FIXTURE.name}: {FIXTURE.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
