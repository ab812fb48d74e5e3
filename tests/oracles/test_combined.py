"""Finer-CAM and RefineCAM against literal combinations of the oracles of what they combine, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax.testing import oracles
from camjax.testing.oracles import combined, weights
from tests import models


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64():
        yield


def head_of(params):
    return lambda maps: models.dense_head(params, maps[None], None)[0]


@pytest.mark.parametrize(
    ("of", "oracle"),
    [(camjax.GradCAM(), oracles.grad_cam), (camjax.LayerCAM(), oracles.layercam)],
    ids=["gradcam", "layercam"],
)
@pytest.mark.parametrize(("alpha", "classes"), [(0.6, 3), (1.0, 1)])
def test_finer_cam(of, oracle, alpha, classes):
    model, x = models.model(models.DENSE, classes=5), models.pictures(2)
    method = camjax.FinerCAM(of, alpha, classes)
    got = camjax.explain(model, x, [[0, 3]], layer=models.DENSE, method=method, size=None).raw
    for b in range(2):
        A = models.features(model.params, x[b : b + 1])[0][0]
        logits, G = head_of(model.params)(A), jax.jacrev(head_of(model.params))(A)
        for k, c in enumerate((0, 3)):
            want = combined.finer_cam(*map(np.asarray, (A, logits, G)), c, alpha, classes, oracle)
            np.testing.assert_allclose(got[b, k], want, rtol=1e-6, atol=1e-6 * np.abs(want).max())


def deep(params, x):
    return head(params, features(params, x))


def features(params, x):
    with jax.named_scope("first"):
        return jax.nn.relu(models.conv(x, params["kernel"]))


def second(params, A):
    with jax.named_scope("second"):
        return jax.nn.relu(models.conv(A, params["deep"], 2))


def head(params, A):
    return jnp.tanh(second(params, A).mean((1, 2))) @ params["matrix"]


@pytest.mark.parametrize(
    ("of", "oracle"),
    [
        (camjax.GradCAMPlusPlus(), lambda A, G: weights.grad_cam_plus_plus(A, G, G**2, G**3)),
        (camjax.GradCAM(), oracles.grad_cam),
    ],
    ids=["gradcam++", "gradcam"],
)
def test_refine_cam(of, oracle):
    params = models.params()
    params["deep"] = jax.random.normal(jax.random.key(9), (3, 3, 5, 5), float)
    model, x = camjax.Model(deep, params), models.pictures(2)
    layers = ["first", "second"]
    got = camjax.explain(model, x, 1, layer=layers, method=camjax.RefineCAM(of), size=None).raw
    for b in range(2):
        A = features(params, x[b : b + 1])
        B = second(params, A)
        to_score = [lambda A: head(params, A)[0, 1], lambda B: (jnp.tanh(B.mean((1, 2))) @ params["matrix"])[0, 1]]
        gradients = [jax.grad(f)(at) for f, at in zip(to_score, (A, B), strict=True)]
        maps = [oracle(np.asarray(at[0]), np.asarray(G[0])) for at, G in zip((A, B), gradients, strict=True)]
        want = combined.refine_cam(maps)
        assert want.max() > 0
        np.testing.assert_allclose(got[b], want, rtol=1e-6, atol=1e-6 * want.max())
