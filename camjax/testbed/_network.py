"""The testbed's network: a small residual network in plain JAX, whose layers are named scopes."""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax._model import Model, Preprocess
from camjax.testbed._shapes import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Array, Float

STAGES: tuple[tuple[int, int, int], ...] = ((16, 1, 1), (32, 2, 1), (64, 1, 1))
"""Channels, stride and number of blocks of each stage."""

STEM = 16
WEIGHTS = "weights.npz"
PREPROCESS = Preprocess(size=(64, 64), resize=None, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


def apply(
    params: dict[str, Any], x: Float[Array, "b h w 3"], *, conv: Callable[..., Any] | None = None
) -> Float[Array, "b 8"]:
    """The logit of each class being somewhere in the picture.

    A stem of stride 2, three stages of residual blocks without normalisation, global average pooling and
    a linear head. For 64x64 pictures the last stage's map is 16x16, so a Grad-CAM has cells of 4 pixels.

    Args:
        params: nested dict of kernels (HWIO) and biases, see `initial`.
        x: pictures, NHWC, preprocessed as `PREPROCESS` says. Any height and width.
        conv: another convolution(params, x, stride); the training's one normalises its output.

    Returns:
        One logit per class of `CLASSES`. Classes are independent of each other (multi-label).
    """
    conv = convolution if conv is None else conv
    with jax.named_scope("stem"):
        x = jax.nn.relu(conv(params["stem"], x, 2))
    for number, (_, stride, blocks) in enumerate(STAGES, 1):
        with jax.named_scope(f"stage{number}"):
            for block in range(blocks):
                name = f"block{block}"
                with jax.named_scope(name):
                    x = _block(params[f"stage{number}"][name], x, stride if block == 0 else 1, conv)
    with jax.named_scope("pool"):
        pooled = x.mean((1, 2))
    with jax.named_scope("head"):
        return pooled @ params["head"]["kernel"] + params["head"]["bias"]


def _block(params: dict[str, Any], x: Float[Array, "b h w c"], stride: int, conv) -> Float[Array, "b u v d"]:
    """relu(shortcut(x) + conv2(relu(conv1(x)))) of He et al., https://arxiv.org/abs/1512.03385, figure 2."""
    with jax.named_scope("conv1"):
        y = conv(params["conv1"], x, stride)
    y = jax.nn.relu(y)
    with jax.named_scope("conv2"):
        y = conv(params["conv2"], y, 1)
    if "shortcut" in params:
        with jax.named_scope("shortcut"):
            x = conv(params["shortcut"], x, stride)
    return jax.nn.relu(x + y)


def convolution(params: dict[str, Any], x: Float[Array, "b h w c"], stride: int) -> Float[Array, "b u v d"]:
    """A convolution of odd size with half its size of padding, plus a bias."""
    kernel = params["kernel"]
    # Padding is written out, because "SAME" pads strided convolutions differently from torch's padding=1.
    pad = (kernel.shape[0] // 2,) * 2
    y = jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), (pad, pad), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y + params["bias"]


def load() -> dict[str, Any]:
    """The shipped weights, stored in half precision, as nested dicts of float32 arrays."""
    params: dict[str, Any] = {}
    file = importlib.resources.files("camjax.testbed") / WEIGHTS
    with file.open("rb") as stream, np.load(stream) as stored:
        for path in stored.files:
            *parents, leaf = path.split("/")
            entry = params
            for name in parents:
                entry = entry.setdefault(name, {})
            # device_put only: asarray, and a cast on the device, would compile a program for each shape
            entry[leaf] = jax.device_put(stored[path].astype(np.float32))
    return params


def model() -> Model:
    """The trained network as a `camjax.Model`, with its labels and preprocessing.

    Input: float32 pictures [B, 64, 64, 3], preprocessed as `model().preprocess` says (`preprocess` does it
    for 8-bit pictures of that size). Output: logits [B, 8], one per class of `CLASSES`, each independent of
    the others.

    Example:
        >>> from camjax.testbed import scenes
        >>> net = model()
        >>> net(preprocess(scenes(0, 2).images)).shape
        (2, 8)
    """
    return Model(apply, load(), labels=CLASSES, preprocess=PREPROCESS)


def preprocess(images: np.ndarray | Array) -> Float[Array, "b h w 3"]:
    """8-bit pictures as the network's input: divided by 255, mean taken away, divided by the deviation.

    Example:
        >>> float(preprocess(np.full((1, 64, 64, 3), 255, np.uint8)).max())
        2.0
    """
    mean, std = (jnp.asarray(value, jnp.float32) for value in (PREPROCESS.mean, PREPROCESS.std))
    return (jnp.asarray(images, jnp.float32) / PREPROCESS.scale - mean) / std
