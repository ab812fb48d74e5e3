"""A convolutional network in JAX, and the same as matrices for the oracle."""

import jax
import jax.numpy as jnp
import numpy as np

import camjax
from camjax.testing.oracles.saliency import Layer

SIZE, COLOURS, CHANNELS, HIDDEN, CLASSES = 4, 2, 3, 5, 3


def params(seed=0):
    """Random weights with biases."""
    draw = np.random.default_rng(seed).normal
    return {
        "kernel": jnp.asarray(draw(size=(3, 3, COLOURS, CHANNELS))),
        "bias": jnp.asarray(draw(size=CHANNELS)),
        "hidden": jnp.asarray(draw(size=(SIZE * SIZE * CHANNELS, HIDDEN)) / 4),
        "hidden_bias": jnp.asarray(draw(size=HIDDEN)),
        "out": jnp.asarray(draw(size=(HIDDEN, CLASSES))),
    }


def apply(params, x, first=jax.nn.relu6, second=jax.nn.relu):
    """A convolution, a hidden layer and logits."""
    dims = ("NHWC", "HWIO", "NHWC")
    with jax.named_scope("conv"):
        z = jax.lax.conv_general_dilated(x, params["kernel"], (1, 1), "SAME", dimension_numbers=dims)
        a = first(z + jnp.broadcast_to(params["bias"], z.shape))
    h = a.reshape(x.shape[0], -1) @ params["hidden"]
    return second(h + jnp.broadcast_to(params["hidden_bias"], h.shape)) @ params["out"]


def model(seed=0, **kwargs):
    return camjax.Model(apply, params(seed), **kwargs)


def pictures(batch=2, seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(batch, SIZE, SIZE, COLOURS)))


def layers(params):
    """The network as the oracle takes it."""
    W = np.zeros((SIZE, SIZE, COLOURS, SIZE, SIZE, CHANNELS))
    kernel = np.asarray(params["kernel"], np.float64)
    for i, j, di, dj in np.ndindex(SIZE, SIZE, 3, 3):
        if 0 <= i + di - 1 < SIZE and 0 <= j + dj - 1 < SIZE:
            W[i + di - 1, j + dj - 1, :, i, j] += kernel[di, dj]
    n = SIZE * SIZE
    first = Layer(W.reshape(n * COLOURS, n * CHANNELS), np.tile(np.asarray(params["bias"], np.float64), n), 6.0)
    hidden = Layer(np.asarray(params["hidden"], np.float64), np.asarray(params["hidden_bias"], np.float64))
    return [first, hidden, Layer(np.asarray(params["out"], np.float64), np.zeros(CLASSES), None)]
