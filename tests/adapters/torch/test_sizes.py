"""A module that is exported with free height and width is traced at any size: what CAMERAS needs."""

import camjax_torch
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import camjax


@pytest.fixture
def module():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, 2, 1),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(6, 4),
    )


def test_a_module_exported_with_free_sizes_is_explained_at_several(module):
    x = torch.randn(2, 3, 12, 12)
    free = {0: torch.export.Dim("batch"), 2: torch.export.Dim("height", min=3), 3: torch.export.Dim("width", min=3)}
    exported = torch.export.export(module.eval(), (x,), dynamic_shapes=(free,))
    model = camjax_torch.from_exported(exported)
    larger = torch.randn(1, 3, 16, 20)
    with torch.no_grad():
        np.testing.assert_allclose(model(jnp.asarray(larger.numpy())), module(larger).numpy(), rtol=1e-4, atol=1e-5)
    pictures = jnp.asarray(x.numpy())
    method = camjax.CAMERAS((1.0, 1.5))
    assert camjax.explain(model, pictures, 0, method=method, size=None, strict=False).raw.shape == (2, 12, 12)
    fixed = camjax_torch.from_torch(module, x)
    with pytest.raises(ValueError, match=r"With \[3, 18, 18\], .* the module was converted for inputs of shape"):
        camjax.explain(fixed, pictures, 0, method=method)
