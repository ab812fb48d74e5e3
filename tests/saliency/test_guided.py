"""Guided Grad-CAM: which leaf, which targets, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax.saliency import Gradient, GuidedBackprop
from tests.saliency import networks


def beside_tokens(params, x):
    """The network, with the logits turned by a token."""
    return networks.apply(params, x["picture"]) * jnp.take(jnp.array([1.0, -1.0]), x["token"], axis=0)


def test_it_is_about_the_leaf_that_has_the_grid_and_the_best_classes():
    x = {"picture": networks.pictures(2), "token": jnp.array([[0], [1]])}
    model = camjax.Model(beside_tokens, networks.params())
    two = camjax.targets.top(2)
    found = jax.jit(lambda x: camjax.guided_gradcam(model, x, two, layer="conv"))(x)
    assert found.values["token"] is None
    assert found.values["picture"].shape == (2, 2, *x["picture"].shape[1:])
    scores = model(x)
    np.testing.assert_array_equal(found.target, np.argsort(-scores, 1)[:, :2])
    maps = camjax.explain(model, x, found.target, layer="conv")
    guided = camjax.attribute(model, x, found.target, method=GuidedBackprop()).values["picture"]
    np.testing.assert_allclose(found.values["picture"], guided * maps.heatmap[..., None], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(found.status & 1, maps.status & 1)


def test_a_model_without_relu_is_refused_unless_another_factor_is_asked_for():
    def smooth(params, x):
        return networks.apply(params, x, first=jnp.tanh, second=jax.nn.gelu)

    model, x = camjax.Model(smooth, networks.params()), networks.pictures(1)
    with pytest.raises(ValueError, match=r"this model has none; its nonlinearities are: tanh or GELU.*Gradient\(\)"):
        camjax.guided_gradcam(model, x, 0, layer="conv")
    found = camjax.guided_gradcam(model, x, 0, layer="conv", method=Gradient(), cam=camjax.HiResCAM())
    heat = camjax.explain(model, x, 0, layer="conv", method=camjax.HiResCAM()).heatmap
    plain = camjax.attribute(model, x, 0).values
    np.testing.assert_allclose(found.values, plain * heat[..., None], rtol=1e-5, atol=1e-6)
