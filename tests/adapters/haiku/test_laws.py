"""The laws of every method on Haiku models."""

import haiku as hk
import jax
import pytest
from camjax_haiku import from_haiku

from tests.laws.adapted import EVERY, hold, pictures


def forward(x):
    return hk.Linear(3)(jax.nn.relu(hk.Conv2D(4, 3, name="conv")(x)).mean((1, 2)))


@pytest.fixture(scope="module")
def net():
    transformed = hk.without_apply_rng(hk.transform(forward))
    return from_haiku(transformed, transformed.init(jax.random.key(0), pictures()))


@pytest.mark.parametrize("method", EVERY)
def test_the_laws_hold(net, method):
    hold(net, pictures(), method)
