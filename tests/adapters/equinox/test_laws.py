"""The laws of every method on Equinox models."""

import equinox as eqx
import jax
import pytest
from camjax_equinox import from_equinox

from tests.laws.adapted import EVERY, hold, pictures


class Net(eqx.Module):
    conv: eqx.nn.Conv2d
    classes: eqx.nn.Linear

    def __init__(self, key):
        one, two = jax.random.split(key)
        self.conv, self.classes = eqx.nn.Conv2d(3, 4, 3, padding=1, key=one), eqx.nn.Linear(4, 3, key=two)

    def __call__(self, x):
        return self.classes(jax.nn.relu(self.conv(x)).mean((1, 2)))


@pytest.fixture(scope="module")
def net():
    return from_equinox(Net(jax.random.key(0)))


@pytest.mark.parametrize("method", EVERY)
def test_the_laws_hold(net, method):
    hold(net, pictures(channels_first=True), method)
