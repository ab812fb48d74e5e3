"""A run's program on a CPU, which takes a batch in portions: one pass through the network each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import testbed
from camjax.dataset._program import Program, Question
from tests.models import conv

SIZE = 16 * 16 * 3


def deep(x, kernel):
    dims = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=dims, feature_group_count=x.shape[-1]
    )


def separable(params, x):
    for name in ("one", "two"):
        with jax.named_scope(name):
            x = jnp.clip(conv(x, params[name]["wide"]) * jax.lax.rsqrt(params[name]["variance"] + 1e-5), 0, 6)
            x = jnp.clip(deep(x, params[name]["deep"]), 0, 6)
    return x.mean((1, 2)) @ params["out"]


def weights(*shape):
    return jnp.asarray(np.random.default_rng(len(shape)).normal(size=shape), jnp.float32)


BLOCKS = {
    "one": {"wide": weights(1, 1, 3, 8), "variance": weights(8) ** 2, "deep": weights(3, 3, 1, 8)},
    "two": {"wide": weights(1, 1, 8, 16), "variance": weights(16) ** 2, "deep": weights(3, 3, 1, 16)},
}
MODELS = {"testbed": testbed.model(), "separable": camjax.Model(separable, {**BLOCKS, "out": weights(16, 5)})}


@pytest.mark.parametrize("heatmaps", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_runs_program_evaluates_the_backbone_once_in_portions(monkeypatch, name, heatmaps):
    products, found, x = {}, {}, np.random.default_rng(0).uniform(size=(16, 16, 16, 3)).astype(np.float32)
    for count in (None, 4):
        monkeypatch.setattr("camjax.dataset._program.entries", lambda count=count: count and count * SIZE)
        program = Program(
            MODELS[name],
            jax.ShapeDtypeStruct((16, 16, 3), jnp.float32),
            Question(camjax.GradCAM(), heatmaps=heatmaps),
            16,
        )
        found[count] = program(x, np.zeros(16, np.int32), np.arange(16, dtype=np.int32))
        text = program.compiled.as_text()
        products[count] = text.count(" convolution(") + text.count(" dot(")
    assert products[4] == products[None]
    for kept, got in found[4]._asdict().items():
        expected = getattr(found[None], kept)
        assert (got is None) == (expected is None)
        if got is not None:  # heatmaps are kept in steps of 1/255
            step = 1 if kept == "heatmap" else 0
            np.testing.assert_allclose(np.asarray(got, np.float32), expected, rtol=2e-4, atol=max(2e-5, step))
