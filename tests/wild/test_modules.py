"""Flax modules of every make: the default layer by its module's path, the map against one made by hand."""

import pytest

import camjax
from tests.wild import methods, modules
from tests.wild.check import check
from tests.wild.modules import linen_remat, nnx_shared


@pytest.mark.parametrize("make", [*modules.CASES, *methods.CASES], ids=lambda make: make.__name__)
def test_default_layer_and_map(make):
    check(make())


@pytest.mark.parametrize(("make", "name"), [(linen_remat, "block0.Dropout_0"), (nnx_shared, "blocks.0.dropout")])
def test_dropout_computes_nothing(make, name):
    case = make()
    listed = {row.name: row for row in camjax.layers(case.model, case.x)}
    assert "computes nothing" in listed[name].note
    with pytest.raises(ValueError, match=f"layer: '{name}' computes nothing.*name the layer before it"):
        camjax.explain(case.model, case.x, 1, layer=name)


def test_a_shared_block_has_every_name_and_an_ambiguous_one_is_refused():
    case = nnx_shared()
    listed = camjax.layers(case.model, case.x)
    assert listed["again#1"] is listed["blocks.1#1"]
    with pytest.raises(ValueError, match=r"layer: 'again' is ambiguous.*'again#0', 'again#1'"):
        camjax.explain(case.model, case.x, 1, layer="again")
