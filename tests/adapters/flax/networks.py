"""The two Linen networks whose weights are in `CAMJAX_DATA`, and the pictures that they were trained for."""

from __future__ import annotations

import gzip

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from tests.data import data_dir


class CNN(nn.Module):
    """Two convolutions with average pooling and two dense layers, as in Flax's first example."""

    @nn.compact
    def __call__(self, x):
        x = nn.avg_pool(nn.relu(nn.Conv(32, (3, 3))(x)), (2, 2), (2, 2))
        x = nn.avg_pool(nn.relu(nn.Conv(64, (3, 3))(x)), (2, 2), (2, 2))
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(nn.Dense(128)(x))
        return nn.Dense(10)(x)


class Patch(nn.Module):
    def setup(self):
        self.conv = nn.Conv(64, (7, 7), strides=(7, 7))

    def __call__(self, x):
        x = self.conv(x)
        return x.reshape(x.shape[0], -1, x.shape[-1])


class Encoder(nn.Module):
    """Tokens from patches: a linear map, the class token in front, positions added."""

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(128)(x)
        cls_token = self.param("cls_token", nn.initializers.zeros, (1, 1, 128))
        positions = self.param("pos_embedding", nn.initializers.normal(0.02), (1, 17, 128))
        return jnp.concatenate([jnp.tile(cls_token, (x.shape[0], 1, 1)), x], 1) + positions


class Attention(nn.Module):
    heads: int

    def setup(self):
        self.qkv, self.proj = nn.Dense(3 * 128), nn.Dense(128)

    def __call__(self, x):
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, -1).transpose(2, 0, 3, 1, 4)
        weights = nn.softmax(q @ k.swapaxes(-1, -2) / jnp.sqrt(width // self.heads))
        return self.proj((weights @ v).swapaxes(1, 2).reshape(batch, tokens, width))


class MLP(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.gelu(nn.Dense(128)(x))
        return nn.Dense(128)(x)


class Block(nn.Module):
    heads: int

    def setup(self):
        self.norm1, self.norm2 = nn.LayerNorm(epsilon=1e-6), nn.LayerNorm(epsilon=1e-6)
        self.attn, self.mlp = Attention(self.heads), MLP()

    def __call__(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    heads: int = 4

    def setup(self):
        self.patch, self.encoder = Patch(), Encoder()
        self.blocks = [Block(self.heads) for _ in range(4)]
        self.norm, self.head = nn.LayerNorm(epsilon=1e-6), nn.Dense(10)

    def __call__(self, x):
        x = self.encoder(self.patch(x))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def mnist(count: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` test digits in [0, 1], `[N, 28, 28, 1]`, and their labels."""
    folder = data_dir() / "mnist"
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    with gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return images[:count].astype(np.float32) / 255, labels[:count].astype(np.int32)
