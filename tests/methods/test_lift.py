"""LIFT-CAM: by hand, against its oracle, and its weights' sum for any head."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import camjax
from camjax import testing
from camjax.methods import LiftCAM
from tests import models

oracle = testing.oracles.lift


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64():
        yield


def identity(head):
    """A split whose feature maps are the input."""
    return camjax.Split(lambda p, x: (x, None), lambda p, A, rest: head(p, A), name="maps")


def explain(head, params, x, target=0, **options):
    model = camjax.Model(head, params)
    return camjax.explain(model, x, target, layer=identity(head), method=LiftCAM(), size=None, **options)


def test_a_case_by_hand():
    # Two positions, two channels: A = [[1, 2], [3, 0]]; z = a + b - 2 at each position: [1, 1], and -2 at zero.
    # relu: (1 - 0) / (1 + 2) = 1/3 at both; the sum of both: m = 1/3 everywhere.
    def head(p, A):
        return jax.nn.relu(A.sum(-1) - 2).sum(1, keepdims=True)

    x = jnp.array([[[1.0, 2.0], [3.0, 0.0]]])
    got = explain(head, {}, x)
    np.testing.assert_allclose(got.weights, [[4 / 3, 2 / 3]], rtol=1e-15)  # sums to 2 = S(A) - S(0)
    np.testing.assert_allclose(got.raw, [[4 / 3 + 4 / 3, 4]], rtol=1e-15)
    np.testing.assert_allclose(got.score, [2])


@settings(max_examples=4)
@given(seed=st.integers(0, 2**31), cap=st.sampled_from([1.0, 6.0]))
def test_it_is_its_oracle_for_relu6_layer_norm_and_gelu(seed, cap):
    rng = np.random.default_rng(seed)
    W, V, b, gamma, beta = rng.normal(size=(3, 4)), rng.normal(size=(4, 4)), *rng.normal(size=(3, 4))
    A = 3 * rng.normal(size=(6, 3))
    layers = [
        oracle.matrix(W, b),
        oracle.pointwise(lambda z: min(max(z, 0.0), cap)),
        oracle.layer_norm(gamma, beta),
        oracle.matrix(V, b),
        oracle.pointwise(np.tanh),
    ]

    def head(p, A):
        W, V, b, gamma, beta = (jnp.expand_dims(v, range(3 - v.ndim)) for v in p)
        h = jnp.clip(A @ W + b, 0, cap)
        d = h - h.mean(-1, keepdims=True)
        h = d * jax.lax.rsqrt((d * d).mean(-1, keepdims=True) + 1e-5) * gamma + beta
        return jnp.tanh(h @ V + b).sum((1, 2))[:, None]

    m, score, start = oracle.multipliers(A, layers)
    weights, raw = oracle.lift_cam(A, m)
    got = explain(head, tuple(map(jnp.asarray, (W, V, b, gamma, beta))), jnp.asarray(A)[None])
    np.testing.assert_allclose(got.weights[0], weights, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(got.raw[0], raw, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(got.weights.sum(), score - start, rtol=1e-9, atol=1e-12)


def test_where_the_head_pools_it_is_by_how_much_the_score_falls_without_a_channel():
    model, x = models.model(models.POOLED, dtype=jnp.float64), models.pictures(dtype=jnp.float64)
    got = camjax.explain(model, x, 2, layer=models.POOLED, method=LiftCAM(), size=None)
    A = np.asarray(models.features(model.params, x)[0])
    want = np.asarray(model.params["matrix"])[:, 2] * A.mean((1, 2))
    np.testing.assert_allclose(got.weights, want, rtol=1e-12)
    for k in range(A.shape[-1]):
        without = models.pooled_head(model.params, jnp.asarray(np.where(np.arange(A.shape[-1]) == k, 0, A)), None)
        np.testing.assert_allclose(got.weights[:, k], got.score - without[:, 2], rtol=1e-9, atol=1e-12)


def test_the_weights_add_up_to_what_the_maps_add_for_all_targets_and_a_traced_layer():
    model, x = models.model(models.DENSE, dtype=jnp.float64), models.pictures(dtype=jnp.float64)
    got = camjax.explain(model, x, [[0, 1, 2, 3]], layer="conv", method=LiftCAM(), size=None)
    A = models.features(model.params, x)[0]
    start = models.dense_head(model.params, jnp.zeros_like(A), None)
    np.testing.assert_allclose(got.weights.sum(-1), got.score - start, rtol=1e-10)


def test_a_probability_may_be_explained():
    model, x = models.model(models.DENSE, dtype=jnp.float64), models.pictures(dtype=jnp.float64)
    got = camjax.explain(model, x, lambda out: jax.nn.softmax(out)[1], layer="conv", method=LiftCAM(), size=None)
    zero = jnp.zeros_like(models.features(model.params, x)[0])
    start = jax.nn.softmax(models.dense_head(model.params, zero, None))[:, 1]
    np.testing.assert_allclose(got.weights.sum(-1), got.score - start, rtol=1e-10)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 2, 4)], ids=str)
def test_maps_of_zeros_and_constants_are_finite(shape):
    def head(p, A):
        scaled = A / (jnp.sqrt(jnp.square(A).sum(-1, keepdims=True)) + 1)
        return jax.nn.relu(scaled - A.max()).sum((1, 2, 3))[:, None]

    for value in (0.0, 2.0):
        got = explain(head, {}, jnp.full(shape, value), strict=False)
        assert np.isfinite(got.raw).all()
        assert not (np.asarray(got.status) & int(camjax.Status.NON_FINITE)).any()


def test_a_head_that_divides_by_what_is_zero_for_no_maps_is_refused_in_words():
    def head(p, A):
        return (A / A.sum(-1, keepdims=True)).max(1)

    x = jnp.ones((1, 3, 2))
    with pytest.raises(ValueError, match="LiftCAM at layer maps, example 0: its multipliers against maps of zeros are"):
        explain(head, {}, x)
    got = explain(head, {}, x, strict=False)
    assert np.isfinite(got.raw).all()
    assert got.status[0] & int(camjax.Status.NOT_APPLICABLE)


def test_a_half_precision_model_is_explained_in_float32():
    x = jnp.ones((1, 3, 2), jnp.bfloat16)
    got = explain(lambda p, A: jax.nn.gelu(A).sum(1), {}, x)
    assert got.raw.dtype == np.float32
    assert got.weights.sum() == pytest.approx(float(got.score[0]), rel=1e-2)
