"""Grad-CAM of a converted network equals torch autograd's at the same module."""

from __future__ import annotations

import camjax_torch
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

import camjax
from tests.adapters.torch.architectures import Architecture

CASES = [
    ("torchvision:resnet18", "layer4"),
    ("torchvision:resnet18", "layer2.0.conv2"),
    ("torchvision:squeezenet1_1", "features.12"),
    ("torchvision:mobilenet_v2", "features.14"),
    ("torchvision:vgg11_bn", "features.21"),
]


def torch_gradcam(module: nn.Module, layer: str, x: torch.Tensor, classes: list[int]) -> np.ndarray:
    """sum_k mean(dS/dA_k) A_k, by autograd [batch, height, width]."""
    held = {}

    def keep(_, __, output):
        held["A"] = output.clone()
        return held["A"].clone()  # what follows may write in place

    handle = module.get_submodule(layer).register_forward_hook(keep)
    score = module(x)[torch.arange(len(x)), classes].sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(score, held["A"])
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * held["A"]).sum(1).detach().numpy()


@pytest.mark.parametrize(("spec", "layer"), CASES)
def test_gradcam_is_that_of_autograd(spec: str, layer: str):
    architecture = Architecture(spec, side=96)
    module, x = architecture.module(), architecture.pictures(3)
    model = camjax_torch.from_torch(module, x)
    classes = [0, 3, 7]
    expected = torch_gradcam(module, layer, x, classes)
    explanation = camjax.explain(model, jnp.asarray(x.numpy()), jnp.asarray(classes), layer=layer)
    assert explanation.raw.shape == expected.shape
    np.testing.assert_allclose(explanation.raw, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert np.abs(expected).max() > 0


@pytest.mark.parametrize(
    ("spec", "default"), [("torchvision:resnet18", "layer4"), ("torchvision:squeezenet1_1", "features.12")]
)
def test_the_default_layer_is_the_last_block(spec: str, default: str):
    architecture = Architecture(spec)
    model = camjax_torch.from_torch(architecture.module(), architecture.pictures(1))
    layer = camjax.layers(model, jnp.asarray(architecture.pictures(1).numpy())).default
    assert layer is not None
    assert default in (layer.name, *layer.aliases)
