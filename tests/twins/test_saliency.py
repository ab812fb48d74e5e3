"""One network in four frameworks: the same attributions from unmodified modules, whose ReLUs are functions."""

import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import testbed
from camjax.saliency import GuidedBackprop
from tests.twins.test_twins import MAKERS, inputs, pictures, twin


@pytest.mark.parametrize("name", MAKERS)
def test_guided_backpropagation_agrees(name):
    classes = pictures().classes[:2, :2]
    ours = camjax.attribute(testbed.model(), inputs(False)[:2], classes, method=GuidedBackprop()).values
    first = twin(name).channels_first
    theirs = camjax.attribute(twin(name).model, inputs(first)[:2], classes, method=GuidedBackprop()).values
    theirs = jnp.moveaxis(theirs, 2, -1) if first else theirs
    assert ours.shape == (2, 2, 64, 64, 3)
    np.testing.assert_allclose(theirs, ours, atol=2e-4 * float(jnp.abs(ours).max()))
    plain = camjax.attribute(testbed.model(), inputs(False)[:2], classes).values
    assert float(jnp.abs(plain - ours).max()) > 0.1 * float(jnp.abs(ours).max())


def test_guided_gradcam_finds_the_channel_axis():
    model, x = twin("torch").model, inputs(True)[:1]
    product = camjax.guided_gradcam(model, x).values
    heat = camjax.explain(model, x).heatmap
    guided = camjax.attribute(model, x, method=GuidedBackprop()).values
    assert product.shape == x.shape == (1, 3, 64, 64)
    np.testing.assert_allclose(product, guided * jnp.expand_dims(heat, 1), rtol=1e-5)
