"""Models for `--model python:tests.cli.factories:NAME`, small enough that what they must say is plain."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from camjax import Model, Preprocess
from camjax.dataset import Sharding

NHWC = ("NHWC", "HWIO", "NHWC")
COLOURS = ("red", "green", "blue")
PLAIN = Preprocess(size=(32, 32), resize=None, mean=(0.0,) * 3, std=(1.0,) * 3)


def _colours(params, x):
    """One channel per colour, and how much of it there is."""
    with jax.named_scope("features"):
        x = jax.lax.conv_general_dilated(x, params, (4, 4), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return 10 * x.mean((1, 2))


def _kernel():
    return np.tile(np.eye(3, dtype=np.float32), (4, 4, 1, 1)) / 16


def colours():
    return Model(_colours, _kernel(), labels=COLOURS, preprocess=PLAIN)


def markup():
    return Model(_colours, _kernel(), labels=("[bold]red[/bold]", "green", "blue"), preprocess=PLAIN)


def unnamed():
    return Model(_colours, _kernel(), preprocess=PLAIN)


def bare():
    """Neither names nor preprocessing."""
    return Model(_colours, _kernel())


def imagenet():
    return Model(lambda w, x: jnp.pad(_colours(w, x), ((0, 0), (0, 997))), _kernel(), preprocess=PLAIN)


def softmax():
    return Model(lambda w, x: jax.nn.softmax(_colours(w, x)), _kernel(), labels=COLOURS, preprocess=PLAIN)


def sigmoid():
    return Model(lambda w, x: jax.nn.sigmoid(_colours(w, x)), _kernel(), labels=COLOURS, preprocess=PLAIN)


def nan():
    return Model(_colours, _kernel() * np.nan, labels=COLOURS, preprocess=PLAIN)


def too_many_names():
    return Model(_colours, _kernel(), labels=(*COLOURS, "ultraviolet"), preprocess=PLAIN)


def deaf():
    """A layer that the scores do not depend on, beside one that they do."""

    def apply(params, x):
        with jax.named_scope("deaf"):
            y = jax.lax.conv_general_dilated(x, params, (4, 4), "SAME", dimension_numbers=NHWC)
        return _colours(params, x) + 0 * y.mean((1, 2))

    return Model(apply, _kernel(), labels=COLOURS, preprocess=PLAIN)


def grey_nchw():
    """One channel, channels first: dark and light."""

    def apply(params, x):
        with jax.named_scope("features"):
            x = jax.lax.conv_general_dilated(x, params, (4, 4), "SAME", dimension_numbers=("NCHW", "OIHW", "NCHW"))
            x = jax.nn.relu(x)
        return 10 * x.mean((2, 3))

    kernel = np.stack([-np.ones((1, 4, 4)), np.ones((1, 4, 4))]).astype(np.float32) / 16
    preprocess = Preprocess((32, 32), None, mean=(0.5,), std=(0.5,), layout="NCHW")
    return Model(apply, kernel, labels=("dark", "light"), preprocess=preprocess)


def weighted(path):
    return Model(_colours, np.load(path), labels=COLOURS, preprocess=PLAIN)


divided = []


def sharding():
    """Parameters in one part along an axis of the mesh, and a list of those that were asked about."""

    def rule(path, leaf):
        divided.append(path)
        return PartitionSpec(*[None] * (leaf.ndim - 1), "model")

    return Sharding(rule, {"model": 1})


def broken():
    raise RuntimeError("the disk is on fire")


def nothing():
    return None


NUMBER = 3
