"""The testbed's network as a Flax Linen module; its parameters have the same tree."""

from typing import Any

import jax
from flax import linen as nn

from camjax.testbed._network import STAGES, STEM
from camjax.testbed._shapes import CLASSES


class Block(nn.Module):
    width: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = nn.relu(nn.Conv(self.width, (3, 3), self.stride, padding=1, name="conv1")(x))
        y = nn.Conv(self.width, (3, 3), padding=1, name="conv2")(y)
        if (self.stride, x.shape[-1]) != (1, self.width):
            x = nn.Conv(self.width, (1, 1), self.stride, padding=0, name="shortcut")(x)
        return nn.relu(x + y)


class Stage(nn.Module):
    width: int
    stride: int
    blocks: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for i in range(self.blocks):
            x = Block(self.width, self.stride if i == 0 else 1, name=f"block{i}")(x)
        return x


class Network(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.relu(nn.Conv(STEM, (3, 3), 2, padding=1, name="stem")(x))
        for number, stage in enumerate(STAGES, 1):
            x = Stage(*stage, name=f"stage{number}")(x)
        return nn.Dense(len(CLASSES), name="head")(x.mean((1, 2)))


def network(params: dict[str, Any]) -> tuple[Network, dict[str, Any]]:
    """The module and its variables."""
    return Network(), {"params": params}
