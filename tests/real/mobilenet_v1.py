"""MobileNet (v1, width 0.25) in Linen, with pretrained weights that carry real batch statistics."""

from __future__ import annotations

import jax
import numpy as np
from flax import linen as nn

from tests import data

WEIGHTS = "mobilenet_v1_0.25_224_keras-keys.npz"
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
CHANNELS = (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)


class MobileNet(nn.Module):
    """Convolutions, batch normalisations and ReLU6 under the names of the file; input x / 127.5 - 1, NHWC."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        def normalised(conv: nn.Conv, x: jax.Array) -> jax.Array:
            statistics = nn.BatchNorm(use_running_average=not train, epsilon=1e-3, name=f"{conv.name}_bn")
            return jax.nn.relu6(statistics(conv(x)))

        x = normalised(nn.Conv(8, (3, 3), 2, use_bias=False, name="conv1"), x)
        for i, (stride, width) in enumerate(zip(STRIDES, CHANNELS, strict=True), start=1):
            depth = x.shape[-1]
            depthwise = nn.Conv(depth, (3, 3), stride, feature_group_count=depth, use_bias=False, name=f"conv_dw_{i}")
            x = normalised(depthwise, x)
            x = normalised(nn.Conv(width, (1, 1), use_bias=False, name=f"conv_pw_{i}"), x)
        x = nn.Dropout(0.001, deterministic=not train)(x.mean((1, 2)))
        return nn.Dense(1000, name="conv_preds")(x)


def variables() -> dict:
    """The pretrained weights as Linen's variables."""
    tree: dict = {"params": {}, "batch_stats": {}}
    with np.load(data.checkpoint(WEIGHTS)) as stored:
        for key in stored:
            layer, name = key.split("/")
            array, kind = stored[key], "params"
            if name == "depthwise_kernel":
                name, array = "kernel", array.transpose(0, 1, 3, 2)
            elif layer == "conv_preds" and name == "kernel":
                array = array[0, 0]
            elif name.startswith("moving"):
                kind = "batch_stats"
            leaf = {"gamma": "scale", "beta": "bias", "moving_mean": "mean", "moving_variance": "var"}
            tree[kind].setdefault(layer, {})[leaf.get(name, name)] = array
    return tree
