"""Unmodified convolutional networks: the default layer by name, the map against one made by hand."""

import pytest

from tests.wild.check import check
from tests.wild.convolutional import CASES


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_default_layer_and_map(make):
    check(make())
