"""The memory of the methods that evaluate the model many times, on ResNet-50; and what their programs evaluate."""

from __future__ import annotations

import dataclasses

import camjax_torch
import jax
import jax.numpy as jnp
import pytest

import camjax
from camjax._options import Options
from camjax._pipe import explain_batch
from camjax._target import as_target
from tests.adapters.torch.architectures import Architecture

GIB = 2**30
CONVOLUTIONS = 53  # of ResNet-50
PROGRAM = jax.jit(explain_batch, static_argnums=(0, 1, 2))

# One method for each way in which evaluations are made, with a batch, and how often the backbone is in its program:
# for the example, and in a loop for its masks; Group-CAM's blurred input is a third. `FasterScoreCAM`, `SSCAM` and
# `ISCAM` run in Score-CAM's loop, `Occlusion` in RISE's.
CASES = {
    camjax.ScoreCAM(): (4, 2),
    camjax.RISE(): (4, 2),
    camjax.GroupCAM(): (1, 3),
    camjax.AblationCAM(): (4, 1),
    camjax.ReciproCAM(): (4, 1),
    camjax.OptiCAM(): (40, None),  # more pictures than evaluations at once, and derivatives of the whole model
}


@pytest.fixture(scope="module")
def model():
    architecture = Architecture("torchvision:resnet50", 224)
    return camjax_torch.from_torch(architecture.module(), architecture.pictures(1))


@pytest.mark.slow
@pytest.mark.parametrize("rewrite", [True, False], ids=["rewritten", "plain"])
@pytest.mark.parametrize("method", CASES, ids=lambda method: type(method).__name__)
def test_32_evaluations_at_once_stay_under_2_gib_above_the_model(model, method, rewrite):
    batch, backbones = CASES[method]
    model = dataclasses.replace(model, rewrite=rewrite)
    x = jax.ShapeDtypeStruct((batch, 3, 224, 224), jnp.float32)
    split = camjax.split(model, x)
    options = Options.checked(method, None, "max", "bilinear", "logits", 32, None)
    target, _ = as_target(1, None, batch)
    lowered = PROGRAM.lower((split,), method, options, model.params, x, target, None, jax.random.key(0))
    # Neither buffers nor operations depend on how well the machine code is optimised.
    compiled = lowered.compile({"xla_backend_optimization_level": 0})
    memory = compiled.memory_analysis()
    assert memory.temp_size_in_bytes + memory.output_size_in_bytes < 2 * GIB
    if backbones is not None and not rewrite:  # else most convolutions are products
        assert compiled.as_text().count(" convolution(") == backbones * CONVOLUTIONS
