"""The testbed's network as a torch module (NCHW)."""

from typing import Any

import numpy as np
import torch
from torch import nn

from camjax.testbed._network import STAGES, STEM
from camjax.testbed._shapes import CLASSES


class Block(nn.Module):
    def __init__(self, c: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c, width, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.shortcut = nn.Conv2d(c, width, 1, stride) if (stride, c) != (1, width) else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.shortcut(x) + self.conv2(torch.relu(self.conv1(x))))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        c = STEM
        self.stem = nn.Conv2d(3, c, 3, 2, padding=1)
        for number, (width, stride, blocks) in enumerate(STAGES, 1):
            stage = nn.Sequential()
            for i in range(blocks):
                stage.add_module(f"block{i}", Block(width if i else c, width, 1 if i else stride))
            self.add_module(f"stage{number}", stage)
            c = width
        self.head = nn.Linear(c, len(CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        for number in range(1, len(STAGES) + 1):
            x = getattr(self, f"stage{number}")(x)
        return self.head(x.mean((2, 3)))


def network(params: dict[str, Any]) -> Network:
    """The module in evaluation mode, holding the given parameters in torch's layouts."""
    module = Network()
    module.load_state_dict({".".join(path): torch.tensor(leaf) for path, leaf in _flat(params)})
    return module.eval()


def _flat(tree: dict[str, Any], path: tuple[str, ...] = ()):
    for name, leaf in tree.items():
        if isinstance(leaf, dict):
            yield from _flat(leaf, (*path, name))
        elif name == "kernel":
            # HWIO to OIHW, (in, out) to (out, in)
            order = (3, 2, 0, 1) if leaf.ndim == 4 else (1, 0)
            yield (*path, "weight"), np.transpose(np.asarray(leaf), order)
        else:
            yield (*path, name), np.array(leaf)
