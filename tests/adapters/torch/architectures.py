"""torchvision's networks with random weights, made small where only the classifier is large."""

from __future__ import annotations

import dataclasses

import torch
from camjax_torch import zoo
from torch import nn


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network of a zoo and the side of the square pictures it is given; `double`: both in float64."""

    spec: str
    side: int = 64
    double: bool = False

    def module(self) -> nn.Module:
        """The network in evaluation mode; every parameter and statistic random, for several start at zero or one."""
        torch.manual_seed(0)
        module = zoo.entry(self.spec).make(False, None)
        if self.spec.split(":")[1].startswith(("vgg", "alexnet")):
            _narrow_classifier(module)
        return perturbed(module).eval().to(self.dtype)

    def pictures(self, batch: int) -> torch.Tensor:
        """Random input [batch, 3, side, side]."""
        generator = torch.Generator().manual_seed(batch)
        return torch.randn(batch, 3, self.side, self.side, generator=generator).to(self.dtype)

    @property
    def dtype(self) -> torch.dtype:
        """That of the weights and the pictures."""
        return torch.float64 if self.double else torch.float32


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


def listed(zoo: str, names: str, side: int) -> list[Architecture]:
    """Architectures of a zoo from "name", "name:side" or "name:side:double", between spaces; `side`: where none is."""
    parts = [entry.split(":") for entry in names.split()]
    return [Architecture(f"{zoo}:{name}", int((*rest, side)[0]), "double" in rest) for name, *rest in parts]
