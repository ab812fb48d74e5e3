"""Each architecture of both zoos is a row of `zoo.md`, which is made again here."""

import gc
from pathlib import Path

import jax
import pytest

from tests.adapters._table import rows
from tests.adapters.torch.sweep import SWEEP, TITLES, measure

ZOO = Path(__file__).with_name("zoo.md")


def test_the_table_has_a_row_for_every_architecture():
    assert len(SWEEP) >= 70
    assert list(rows(ZOO)) == [architecture.spec for architecture in SWEEP]
    for row in rows(ZOO).values():
        assert len(row) == len(TITLES)
        assert max(map(float, row[5:])) <= 1e-4, row


@pytest.mark.slow
@pytest.mark.parametrize("architecture", SWEEP, ids=[architecture.spec for architecture in SWEEP])
def test_row(architecture):
    """Logits and Grad-CAM are torch's to 1e-4; operations, default layer and grid those of the table."""
    row = measure(architecture)
    assert max(row.logits, row.gradcam) <= 1e-4
    assert row.cells[:4] == rows(ZOO)[architecture.spec][:4]
    jax.clear_caches()
    gc.collect()
