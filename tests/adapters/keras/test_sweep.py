"""Each family of `keras.applications` is a row of `zoo.md`, which is made again here."""

import gc
from pathlib import Path

import jax
import pytest

from tests.adapters._table import rows
from tests.adapters.keras.sweep import SIDES, TITLES, families, look, measure

ZOO = Path(__file__).with_name("zoo.md")
CHEAP = ("MobileNet", "VGG16", "Xception")
COMPUTED = (*CHEAP, "ConvNeXtTiny", "ResNet50")
EVERY = [pytest.param(name, marks=() if name in CHEAP else pytest.mark.slow) for name in SIDES]


@pytest.fixture(autouse=True, scope="module")
def compiled_quickly():
    """Each program runs once, so that LLVM's optimisations cost more than they bring."""
    before = jax.config.values["jax_disable_most_optimizations"]
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


def test_no_family_of_the_installed_keras_is_missing():
    known = families()
    assert len(known) >= 40, "keras.applications has become another thing"
    assert set(known.values()) == {known[name] for name in SIDES}
    assert list(rows(ZOO)) == list(SIDES)


def test_every_map_of_the_table_is_that_of_the_model_split_by_hand():
    for row in rows(ZOO).values():
        assert len(row) == len(TITLES)
        assert max(map(float, row[5:])) <= 1e-5, row


@pytest.mark.parametrize("name", EVERY)
def test_row(name):
    """Default layer, grid and tail; where that is not too costly, the map of the model split by hand, too."""
    it = look(name)
    assert it.cells == rows(ZOO)[name][:5]
    if name in COMPUTED:
        assert max(measure(it)) <= 1e-5
    jax.clear_caches()
    gc.collect()
