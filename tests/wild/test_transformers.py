"""Unmodified transformers: default layer and token grid are found, the map equals one made by hand."""

import pytest

import camjax
from tests.wild.check import check
from tests.wild.transformers import CASES, class_token, registers_and_mean_pooling


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_default_layer_and_map(make):
    check(make())


@pytest.mark.parametrize(("make", "prefix"), [(class_token, 1), (registers_and_mean_pooling, 4)])
def test_the_grid_is_found_behind_extra_tokens(make, prefix):
    case = make()
    listed = camjax.layers(case.model, case.x)
    for name in ("blocks.0.norm1", "blocks.1.attn", "norm"):
        axes = listed[name].axes
        assert axes is not None
        assert (axes.grid, axes.channels, axes.start[1], axes.stop[1]) == ((3, 4), 12, prefix, prefix + 12)
