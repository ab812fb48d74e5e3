"""Networks of the zoos: torch's logits from one conversion, torch's module paths, kernels in Flax layout."""

from __future__ import annotations

import camjax_torch
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

from tests.adapters.torch.architectures import Architecture, listed
from tests.adapters.torch.scopes import scope_paths

# What this file asks depends on how modules are nested and called; `test_sweep.py` has every family's numbers.
NAMES = """
    alexnet resnet18 densenet121 mobilenet_v3_small shufflenet_v2_x0_5 inception_v3:96 googlenet convnext_tiny swin_t
"""
ALL = listed("torchvision", NAMES, 64)


def modules_that_compute(module: nn.Module, x: torch.Tensor) -> set[str]:
    """The paths of the modules whose forward pass makes a tensor that was not there before."""
    made: set[str] = set()

    def hook(path: str):
        def record(_, inputs, output) -> None:
            if output is not inputs[0]:
                made.add(path)

        return record

    handles = [part.register_forward_hook(hook(path)) for path, part in module.named_modules() if path]
    with torch.no_grad():
        module(x)
    for handle in handles:
        handle.remove()
    return made


@pytest.mark.parametrize("architecture", ALL, ids=[architecture.spec for architecture in ALL])
def test_architecture(architecture: Architecture):
    module = architecture.module()
    model = camjax_torch.from_torch(module, architecture.pictures(1))

    apply = jax.jit(model.apply)
    for batch in (1, 3):
        pictures = architecture.pictures(batch)
        with torch.no_grad():
            expected = module(pictures).numpy()
        got = np.asarray(apply(model.params, jnp.asarray(pictures.numpy())))
        assert got.shape == expected.shape
        assert np.abs(expected).max() > 1e-3
        assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()

    jaxpr = jax.make_jaxpr(model.apply)(model.params, jnp.asarray(architecture.pictures(2).numpy()))
    # an in-place activation returns the very tensor it was given, so torch's hooks miss some that compute
    missing = modules_that_compute(module, architecture.pictures(2)) - scope_paths(jaxpr.jaxpr)
    assert not missing

    for path, part in module.named_modules():
        if isinstance(part, nn.Conv2d) and f"{path}.weight" in model.params:
            kernel = part.weight.detach().numpy().transpose(2, 3, 1, 0)
            np.testing.assert_array_equal(model.params[f"{path}.weight"], kernel)
