"""The testbed's network as a Flax NNX module."""

from typing import Any

import jax
from flax import nnx

from camjax.testbed._network import STAGES, STEM
from camjax.testbed._shapes import CLASSES


class Block(nnx.Module):
    def __init__(self, c: int, width: int, stride: int, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(c, width, (3, 3), stride, padding=1, rngs=rngs)
        self.conv2 = nnx.Conv(width, width, (3, 3), padding=1, rngs=rngs)
        if (stride, c) != (1, width):
            self.shortcut = nnx.Conv(c, width, (1, 1), stride, padding=0, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.conv2(nnx.relu(self.conv1(x)))
        return nnx.relu(y + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class Stage(nnx.Module):
    def __init__(self, c: int, width: int, stride: int, blocks: int, rngs: nnx.Rngs) -> None:
        self.blocks = blocks
        for i in range(blocks):
            setattr(self, f"block{i}", Block(width if i else c, width, 1 if i else stride, rngs))

    def __call__(self, x: jax.Array) -> jax.Array:
        for i in range(self.blocks):
            x = getattr(self, f"block{i}")(x)
        return x


class Network(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        c = STEM
        self.stem = nnx.Conv(3, c, (3, 3), 2, padding=1, rngs=rngs)
        for number, (width, stride, blocks) in enumerate(STAGES, 1):
            setattr(self, f"stage{number}", Stage(c, width, stride, blocks, rngs))
            c = width
        self.head = nnx.Linear(c, len(CLASSES), rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.stem(x))
        for number in range(1, len(STAGES) + 1):
            x = getattr(self, f"stage{number}")(x)
        return self.head(x.mean((1, 2)))


def network(params: dict[str, Any]) -> Network:
    """The module, holding the given parameters."""
    module = Network(nnx.Rngs(0))
    state = nnx.state(module)
    nnx.replace_by_pure_dict(state, params)
    nnx.update(module, state)
    return module
