"""torchvision's networks with random weights, made small where only the classifier is large."""

from __future__ import annotations

import dataclasses

import torch
from camjax_torch import zoo
from torch import nn


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network of a zoo and the side of the square pictures it is given."""

    spec: str
    side: int = 64

    def module(self) -> nn.Module:
        """The network in evaluation mode; every parameter and statistic random, for several start at zero or one."""
        torch.manual_seed(0)
        module = zoo.entry(self.spec).make(False, None)
        if self.spec.split(":")[1].startswith(("vgg", "alexnet")):
            _narrow_classifier(module)
        return perturbed(module).eval()

    def pictures(self, batch: int) -> torch.Tensor:
        """Random input [batch, 3, side, side]."""
        return torch.randn(batch, 3, self.side, self.side, generator=torch.Generator().manual_seed(batch))


def _narrow_classifier(module: nn.Module) -> None:
    """100 million weights of fully connected layers become a few thousand; the layers stay."""
    layers = [(i, layer) for i, layer in enumerate(module.classifier) if isinstance(layer, nn.Linear)]
    width = layers[0][1].in_features
    for i, _ in layers:
        module.classifier[i] = nn.Linear(width, 16)
        width = 16


def perturbed(module: nn.Module) -> nn.Module:
    """The module with noise on every parameter and random statistics in every normalisation."""
    generator = torch.Generator().manual_seed(1)

    def noise(tensor: torch.Tensor) -> torch.Tensor:
        return torch.randn(tensor.shape, generator=generator)

    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 100
            parameter.add_(noise(parameter) * 0.3 / fan_in**0.5)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.2 * noise(buffer))
            elif name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    return module


FAMILIES = [
    Architecture("torchvision:alexnet"),
    Architecture("torchvision:vgg11_bn"),
    Architecture("torchvision:resnet18"),
    Architecture("torchvision:resnext50_32x4d"),
    Architecture("torchvision:densenet121"),
    Architecture("torchvision:mobilenet_v2"),
    Architecture("torchvision:mobilenet_v3_small"),
    Architecture("torchvision:squeezenet1_1"),
    Architecture("torchvision:shufflenet_v2_x0_5"),
    Architecture("torchvision:mnasnet0_5"),
    Architecture("torchvision:efficientnet_b0"),
    Architecture("torchvision:efficientnet_v2_s"),
    Architecture("torchvision:regnet_y_400mf"),
    Architecture("torchvision:inception_v3", side=96),
    Architecture("torchvision:googlenet"),
    Architecture("torchvision:convnext_tiny"),
]

MORE = [
    Architecture("torchvision:vgg11"),
    Architecture("torchvision:resnet50"),
    Architecture("torchvision:wide_resnet50_2"),
    Architecture("torchvision:mobilenet_v3_large"),
    Architecture("torchvision:squeezenet1_0"),
    Architecture("torchvision:regnet_x_400mf"),
    Architecture("torchvision:vit_b_16", side=224),
    Architecture("torchvision:swin_t"),
    Architecture("torchvision:swin_v2_t"),
    Architecture("torchvision:maxvit_t", side=224),
    Architecture("timm:vit_tiny_patch16_224", side=224),
    Architecture("timm:mixer_s32_224", side=224),
]
