"""Each method against its paper's equations, literally, in float64; the gradient by finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import camjax
from camjax import testing
from tests import models

ORACLES = {
    camjax.GradCAM(): testing.oracles.grad_cam,
    camjax.HiResCAM(): testing.oracles.hirescam,
    camjax.LayerCAM(): testing.oracles.layercam,
}


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(), jax.disable_jit():  # each shape would be compiled once, to run once
        yield


@pytest.mark.parametrize("method", ORACLES, ids=lambda m: type(m).__name__)
@settings(max_examples=4)
@given(
    seed=st.integers(0, 2**31),
    split=st.sampled_from([models.POOLED, models.DENSE]),
    channels=st.sampled_from([1, 3]),
    size=st.sampled_from([1, 3]),
    target=st.integers(0, 3),
)
def test_a_method_is_its_papers_equation(method, seed, split, channels, size, target):
    model = models.model(split, key=seed, size=size, channels=channels)
    x = models.pictures(2, key=seed + 1, size=size)
    got = camjax.explain(model, x, target, layer=split, method=method, size=None, strict=False)
    A = np.asarray(split.features(model.params, x)[0])
    for b in range(2):

        def score(maps):
            return float(split.head(model.params, jnp.asarray(maps)[None], None)[0, target])

        G = testing.oracles.gradient(score, A[b])
        want = ORACLES[method](A[b], G)
        np.testing.assert_allclose(got.raw[b], want, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(got.score[b], score(A[b]), rtol=1e-12)
        if isinstance(method, camjax.GradCAM):
            np.testing.assert_allclose(got.weights[b], G.mean((0, 1)), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", ORACLES, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("space", [(5,), (3, 4), (2, 3, 2)], ids=["1-D", "2-D", "3-D"])
def test_any_number_of_space_axes(method, space):
    rng = np.random.default_rng(0)
    A, G = rng.normal(size=(2, *space, 3))
    needs = {"activations": jnp.asarray(A), "gradients": jnp.asarray(G)}
    np.testing.assert_allclose(method(**needs).raw, ORACLES[method](A, G), rtol=1e-12)
