"""CAMERAS: the model at other sizes of its input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax.methods.cameras import SCALES
from camjax.testing import oracles
from tests import models

LARGE = np.random.default_rng(0).normal(size=(5, 1000))  # captured, and too large for a constant of a program


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64():
        yield


def features(params, x):
    with jax.named_scope("conv"):
        return jax.nn.relu(models.conv(x, params["kernel"], 2))


def head(params, A):
    """Not linear, and for any size."""
    return jnp.tanh(A @ LARGE).mean((1, 2))[:, :9] @ params["out"]


def apply(params, x):
    return head(params, features(params, x))


def fixed(params, x):
    """For one size alone."""
    A = features(params, x)
    return A.reshape(A.shape[0], -1) @ params["hidden"]


@pytest.fixture
def params():
    drawn = np.random.default_rng(1).normal
    return {"kernel": drawn(size=(3, 3, 2, 5)), "out": drawn(size=(9, 4)), "hidden": drawn(size=(45, 4))}


@pytest.fixture
def x():
    return np.random.default_rng(2).normal(size=(2, 6, 6, 2))


METHOD = camjax.CAMERAS((1.0, 1.5, 0.7))


def test_it_is_the_papers_equation_whatever_the_chunk(params, x):
    model = camjax.Model(apply, params)
    options = {"layer": "conv", "method": METHOD, "size": None}
    assert camjax.split(model, x, "conv").bind is not None
    # 12 evaluations are 3 channels for two examples and two targets, so that the last of 5 channels' chunks is short.
    found = {chunk: camjax.explain(model, x, [[1, 3]], chunk=chunk, **options).raw for chunk in (1, 12)}
    at = [np.stack([oracles.cameras.bicubic(one, (n, n)) for one in x]) for n in (6, 9, 4)]

    @jax.jit
    def maps_and_gradients(pictures):
        maps = [features(params, picture) for picture in pictures]
        scores = [jax.grad(lambda A, k=k: head(params, A)[:, k].sum()) for k in (1, 3)]
        return maps, [[gradient(A) for A in maps] for gradient in scores]

    maps, gradients = jax.tree.map(np.asarray, maps_and_gradients(at))
    for b in range(2):
        for k, G in enumerate(gradients):
            want = oracles.cameras.cameras([A[b] for A in maps], [own[b] for own in G], (6, 6))
            for chunk, raw in found.items():
                tolerance = {"rtol": 1e-6, "atol": 1e-6 * np.abs(want).max()}
                np.testing.assert_allclose(raw[b, k], want, **tolerance, err_msg=f"chunk {chunk}")


def test_one_scale_at_the_layers_own_size_is_hirescam():
    A, G = jnp.asarray(np.random.default_rng(3).normal(size=(2, 3, 4, 5)))
    got = camjax.CAMERAS((1,))(activations=A, gradients=G, scaled=None, upsample=lambda maps: maps, chunk=2)
    np.testing.assert_allclose(got.raw, camjax.HiResCAM()(activations=A, gradients=G).raw, rtol=1e-12)


def test_the_default_sizes_are_those_of_the_authors_code():
    assert [round(224 * scale) for scale in SCALES] == [224, 324, 424, 524, 624, 724, 824, 924]
    assert camjax.CAMERAS().scales == SCALES


ERRORS = {
    "a split by hand": (
        apply,
        camjax.Split(lambda params, x: (features(params, x), None), lambda params, A, rest: head(params, A)),
        r"layer: the method shows the model its input at other sizes, .* hand-written camjax.Split \(without a name\) "
        r"says nothing; leave layer= out",
    ),
    "a model of one size": (
        fixed,
        "conv",
        r"method: it shows the model its input at other sizes, which must do as \[6, 6, 2\] per example does. "
        r"With \[9, 9, 2\], .*TypeError.*Choose a method of one size, such as",
    ),
    "pictures in integers": (
        lambda params, x: apply(params, x.astype(float)),
        "conv",
        r"x: leaf 0, .* is int64, and cannot be resized; convert pictures with",
    ),
}


@pytest.mark.parametrize(("function", "layer", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_in_words(params, x, function, layer, message):
    x = x.astype(int) if "int64" in message else x
    with pytest.raises(ValueError, match=message):
        camjax.explain(camjax.Model(function, params), x, 1, layer=layer, method=METHOD)


@pytest.mark.parametrize("scales", [(), (1, -2)])
def test_scales_that_are_none(scales):
    with pytest.raises(ValueError, match=r"CAMERAS: scales=\(.*\), expected positive numbers, multiples of"):
        camjax.CAMERAS(scales)
