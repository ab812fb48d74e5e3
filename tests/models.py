"""Small models with a hand-written split, for the tests of the pipe; all in plain JAX."""

import jax
import jax.numpy as jnp

import camjax


def conv(x, kernel, stride=1):
    """A 2-D convolution, NHWC."""
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def features(params, x):
    with jax.named_scope("conv"):
        return jax.nn.relu(conv(x, params["kernel"])), None


def pooled_head(params, A, rest):
    """Average over space, then a matrix: a linear head."""
    return A.mean((1, 2)) @ params["matrix"]


def dense_head(params, A, rest):
    """A hidden layer over all positions: a head that treats positions differently, and is not linear."""
    with jax.named_scope("hidden"):
        hidden = jax.nn.gelu(A.reshape(A.shape[0], -1) @ params["hidden"])
    return hidden @ params["out"]


POOLED = camjax.Split(features, pooled_head, name="conv")
DENSE = camjax.Split(features, dense_head, name="conv")


def params(key=0, size=6, colours=2, channels=5, classes=4, dtype=None):
    """Random parameters for both heads, for pictures `[B, size, size, colours]`."""
    keys = jax.random.split(jax.random.key(key), 4)
    shapes = {
        "kernel": (3, 3, colours, channels),
        "matrix": (channels, classes),
        "hidden": (size * size * channels, 7),
        "out": (7, classes),
    }
    return {
        name: jax.random.normal(k, shape).astype(dtype or float)
        for k, (name, shape) in zip(keys, shapes.items(), strict=True)
    }


def model(split=POOLED, labels=None, **kwargs):
    """A `Model` whose `apply` is the split put together."""
    return camjax.Model(applies[split], params(**kwargs), labels=labels)


def pictures(batch=3, key=1, size=6, colours=2, dtype=None):
    """Random inputs."""
    return jax.random.normal(jax.random.key(key), (batch, size, size, colours)).astype(dtype or float)


applies = {
    POOLED: lambda p, x: pooled_head(p, *features(p, x)),
    DENSE: lambda p, x: dense_head(p, *features(p, x)),
}


def transformed(split, forward, backward):
    """The split with its feature maps changed by `forward` and changed back by `backward` inside the head."""

    def changed(p, x):
        A, rest = split.features(p, x)
        return forward(A), rest

    return camjax.Split(changed, lambda p, A, rest: split.head(p, backward(A), rest))


def shift_scores(split, amount):
    """The split with `amount` added to every output."""
    return camjax.Split(split.features, lambda p, A, rest: split.head(p, A, rest) + jnp.asarray(amount))
