"""The two pretrained networks on which camjax is compared with its peers, as PyTorch modules.

Nothing here needs camjax, so that the script that records a peer's maps builds the very same modules.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from tests import data


class TensorFlowSameConv(nn.Conv2d):
    """A stride-2 convolution of kernel 3 that pads an even side as TensorFlow's SAME does: (0, 1)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.pad(x, (0, 1, 0, 1)))


def torchvision_models() -> ModuleType:
    """torchvision's models; by camjax's way in, which works beside any torch, where camjax is installed."""
    try:
        from camjax_torch.zoo import import_torchvision
    except ImportError:
        import torchvision

        return torchvision.models
    return import_torchvision().models


def squeezenet() -> nn.Module:
    """torchvision's SqueezeNet 1.1."""
    return torchvision_models().squeezenet1_1(weights=None)


def mobilenet_tf_same() -> nn.Module:
    """torchvision's MobileNetV2 with TensorFlow's padding, which its weights were trained with."""
    module = torchvision_models().mobilenet_v2(weights=None)
    for child in module.modules():
        if isinstance(child, nn.Conv2d) and child.stride == (2, 2):
            child.__class__ = TensorFlowSameConv
            child.padding = (0, 0)
    return module


class Case(NamedTuple):
    """What is explained: a layer, the precision, and how many of the recorded photos.

    The last layer with feature maps is compared in float32, as people run it. There Grad-CAM and HiResCAM are
    (nearly) the same, since little but an average follows; so an inner layer is compared too, in float64:
    in float32 a ReLU's input within rounding of zero turns a gradient on or off, which moves a map by more
    than 1e-3 between two runs of PyTorch itself (float32 against float64, one photo in ten).
    """

    layer: str
    dtype: str
    photos: int


@dataclasses.dataclass(frozen=True)
class Network:
    """A network, what to explain of it, and the `style` of its input (see `tests.data.batch`)."""

    name: str
    build: Callable[[], nn.Module]
    weights: str
    style: str
    cases: tuple[Case, ...]

    def load(self, dtype: str = "float32") -> nn.Module:
        """The module with its pretrained weights, in evaluation mode."""
        module = self.build()
        state = torch.load(data.checkpoint(self.weights), weights_only=True)
        module.load_state_dict(state)
        return module.to(getattr(torch, dtype)).eval()


NETWORKS = (
    Network(
        "squeezenet1_1",
        squeezenet,
        "squeezenet1_1_torchvision-keys.pth",
        "imagenet",
        (Case("features.12", "float32", 34), Case("features.9", "float64", 12)),
    ),
    Network(
        "mobilenet_v2_tfsame",
        mobilenet_tf_same,
        "mobilenet_v2_torchvision-keys_tfsame.pth",
        "tf",
        (Case("features.18", "float32", 34), Case("features.14", "float64", 12)),
    ),
)
