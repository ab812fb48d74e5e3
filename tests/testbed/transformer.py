"""A vision transformer in Flax Linen, trained on the testbed's scenes by `tests.testbed.train_transformer`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import camjax_flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import unflatten_dict

import camjax
from camjax import testbed
from camjax.testbed import _network

WEIGHTS = Path(__file__).with_name("transformer.npz")
STEM = ((16, 2), (32, 1), (64, 2), (64, 1))  # channels and stride of each convolution
GRID = 16  # tokens along each side of a scene


class Block(nn.Module):
    """Attention of all tokens to all and two dense layers, each behind a normalisation and beside a shortcut."""

    heads: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + nn.MultiHeadDotProductAttention(self.heads, name="attention")(nn.LayerNorm(name="norm1")(x))
        y = nn.LayerNorm(name="norm2")(x)
        y = nn.relu(nn.Dense(2 * x.shape[-1], name="fc1")(y))
        return x + nn.Dense(x.shape[-1], name="fc2")(y)


class Transformer(nn.Module):
    """Pre-norm blocks on patches, the mean of the normalised tokens, a linear head.

    A few convolutions make the patches, https://arxiv.org/abs/2106.14881: with a single one of large stride, a
    transformer of this size needs many times the pictures to tell the shapes.
    """

    width: int = 64
    heads: int = 2
    blocks: int = 2

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Logits `[B, 8]` of pictures `[B, 64, 64, 3]`."""
        for i, (channels, stride) in enumerate(STEM):
            x = nn.Conv(channels, (3, 3), stride, padding=1, name=f"stem{i}")(x)
            x = nn.relu(nn.GroupNorm(8, name=f"stem_norm{i}")(x))
        x = nn.Conv(self.width, (1, 1), name="patch")(x)
        x = (x + places(GRID, self.width)).reshape(len(x), GRID * GRID, self.width)
        for i in range(self.blocks):
            x = Block(self.heads, name=f"block{i}")(x)
        x = nn.LayerNorm(name="norm")(x)
        return nn.Dense(len(testbed.CLASSES), bias_init=nn.initializers.constant(-1.0), name="head")(x.mean(1))


def places(side: int, channels: int) -> jax.Array:
    """Fixed sines and cosines of column and row, `[1, side, side, channels]`."""
    number = channels // 4
    waves = 100.0 ** (-jnp.arange(number) / (number - 1))
    row, column = (at[..., None] * waves for at in jnp.mgrid[:side, :side])
    return 0.5 * jnp.concatenate([jnp.sin(column), jnp.cos(column), jnp.sin(row), jnp.cos(row)], -1)[None]


def load() -> dict[str, Any]:
    """The trained variables, in float32."""
    with np.load(WEIGHTS) as stored:
        return unflatten_dict({path: jax.device_put(stored[path].astype(np.float32)) for path in stored.files}, sep="/")


@functools.cache
def model() -> camjax.Model:
    """The trained transformer, whose pictures are the testbed's."""
    return camjax_flax.from_linen(Transformer(), load(), labels=testbed.CLASSES, preprocess=_network.PREPROCESS)
