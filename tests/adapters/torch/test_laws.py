"""The laws of every method on converted torch models."""

import camjax_torch
import pytest
import torch
from torch import nn

from tests.laws.adapted import EVERY, hold, pictures


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    with torch.no_grad():
        module[-1].weight *= 10  # else blurring moves probabilities by hardly more than their rounding
    return camjax_torch.from_torch(module.eval(), torch.zeros(2, 3, 4, 4))


@pytest.mark.parametrize("method", EVERY)
def test_the_laws_hold(net, method):
    hold(net, pictures(channels_first=True), method, one_size=True)
