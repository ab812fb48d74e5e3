"""A run's program on a CPU, which takes a batch in portions: one pass through the network each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import testbed
from camjax.dataset._program import Program, Question

SIZE = 16 * 16 * 3
MODEL = testbed.model()


@pytest.mark.parametrize("heatmaps", [False, True])
def test_a_runs_program_evaluates_the_backbone_once_in_portions(monkeypatch, heatmaps):
    products, found, x = {}, {}, np.random.default_rng(0).uniform(size=(16, 16, 16, 3)).astype(np.float32)
    for count in (None, 4):
        monkeypatch.setattr("camjax.dataset._program.entries", lambda count=count: count and count * SIZE)
        program = Program(
            MODEL, jax.ShapeDtypeStruct((16, 16, 3), jnp.float32), Question(camjax.GradCAM(), heatmaps=heatmaps), 16
        )
        found[count] = program(x, np.zeros(16, np.int32), np.arange(16, dtype=np.int32))
        text = program.compiled.as_text()
        products[count] = text.count(" convolution(") + text.count(" dot(")
    assert products[4] == products[None]
    for name, got in found[4]._asdict().items():
        expected = getattr(found[None], name)
        assert (got is None) == (expected is None)
        if got is not None:  # heatmaps are kept in steps of 1/255
            step = 1 if name == "heatmap" else 0
            np.testing.assert_allclose(np.asarray(got, np.float32), expected, rtol=2e-4, atol=max(2e-5, step))
