"""Every method against the literal float64 oracle, and the gradient against finite differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax.saliency import DeconvNet, Gradient, GuidedBackprop, IntegratedGradients, SmoothGrad, VarGrad
from camjax.testing import oracles
from tests.saliency import networks


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def passed_back(seed, x, output, rule="gradient"):
    found = oracles.saliency.backward(np.asarray(x).ravel(), networks.layers(networks.params(seed)), output, rule)
    return found.reshape(x.shape)


def assert_same(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * np.abs(theirs).max())


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("method", "rule"), [(Gradient(), "gradient"), (GuidedBackprop(), "guided"), (DeconvNet(), "deconvnet")]
)
def test_the_backward_rules(seed, method, rule):
    model, x = networks.model(seed), networks.pictures(seed=seed + 5) * 3
    found = camjax.attribute(model, x, [[0, 2]], method=method)
    assert found.values.dtype == jnp.float64
    for b, k in np.ndindex(2, 2):
        assert_same(found.values[b, k], passed_back(seed, x[b], (0, 2)[k], rule))


def test_the_rules_differ_and_the_cap_is_reached():
    x = networks.pictures(seed=5) * 3
    weights = networks.params()
    found = [passed_back(0, x[0], 0, rule) for rule in ("gradient", "guided", "deconvnet")]
    for one, other in zip(found, (found[1], found[2], found[0]), strict=True):
        assert np.abs(one - other).max() > 0.1 * np.abs(one).max()
    first = networks.layers(weights)[0]
    assert (np.asarray(x[0]).ravel() @ first.W + first.b > 6).any()


def test_the_gradient_is_that_of_finite_differences():
    model, x = networks.model(), networks.pictures(1)

    def score(a):
        return float(model(jnp.asarray(a)[None])[0, 1])

    assert_same(camjax.attribute(model, x, 1).values[0], oracles.gradient(score, np.asarray(x[0])))


@pytest.mark.parametrize(("method", "oracle"), [(SmoothGrad, "smoothgrad"), (VarGrad, "vargrad")])
def test_noise(method, oracle):
    x, key = networks.pictures(), jax.random.key(3)
    chosen = method(samples=5, noise=0.2)
    found = camjax.attribute(networks.model(), x, 1, method=chosen, key=key, ids=[4, 9], chunk=3)
    for b, name in enumerate((4, 9)):
        own = jax.random.fold_in(key, name)
        points = [np.asarray(chosen.point(x[b], own, i)) for i in range(5)]
        want = getattr(oracles.saliency, oracle)(lambda p: passed_back(0, p, 1), points)
        assert_same(found.values[b], want)
        # The width of the noise is a share of the example's range.
        width = np.std([p - np.asarray(x[b]) for p in points]) / (x[b].max() - x[b].min())
        assert 0.16 < width < 0.24


@pytest.mark.parametrize("baseline", [0.5, jnp.zeros_like], ids=["number", "function"])
def test_integrated_gradients(baseline):
    x = networks.pictures()
    chosen = IntegratedGradients(steps=7, baseline=baseline)
    found = camjax.attribute(networks.model(), x, 1, method=chosen, strict=False)
    start = np.full(x.shape[1:], 0.5 if baseline == 0.5 else 0.0)
    for b in range(2):
        gradient = functools.partial(passed_back, 0, output=1)
        assert_same(found.values[b], oracles.saliency.integrated_gradients(gradient, np.asarray(x[b]), start, 7))


def test_guided_gradcam_is_the_product():
    model, x = networks.model(), networks.pictures()
    found = camjax.guided_gradcam(model, x, 1, layer="conv")
    heat = camjax.explain(model, x, 1, layer="conv").heatmap
    for b in range(2):
        assert_same(found.values[b], np.asarray(heat[b])[:, :, None] * passed_back(0, x[b], 1, "guided"))
