"""The laws of every method on Linen and NNX models."""

import jax
import jax.numpy as jnp
import pytest
from camjax_flax import from_linen, from_nnx
from flax import linen as nn
from flax import nnx

from tests.laws.adapted import EVERY, hold, pictures


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.BatchNorm(use_running_average=True)(nn.Conv(4, (3, 3))(x)))
        return nn.Dense(3)(x.mean((1, 2)))


class Net(nnx.Module):
    def __init__(self, rngs):
        self.conv, self.norm = nnx.Conv(3, 4, (3, 3), rngs=rngs), nnx.BatchNorm(4, rngs=rngs)
        self.classes = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x):
        return self.classes(nnx.relu(self.norm(self.conv(x))).mean((1, 2)))


@pytest.fixture(scope="module")
def linen():
    module = Linen()
    return from_linen(module, module.init(jax.random.key(0), jnp.zeros((1, 4, 4, 3))))


@pytest.fixture(scope="module")
def net():
    return from_nnx(Net(nnx.Rngs(0)))


@pytest.mark.parametrize("method", EVERY)
def test_the_laws_hold_for_a_linen_module(linen, method):
    hold(linen, pictures(), method)


@pytest.mark.parametrize("method", EVERY)
def test_the_laws_hold_for_an_nnx_module(net, method):
    hold(net, pictures(), method)
