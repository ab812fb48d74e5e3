"""The methods that evaluate the model or the head against literal loops, in float64; and how they evaluate it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax.testing.oracles import perturbation
from tests import models


def features(params, x):
    """A stride, so that masks are upsampled; no padding of odd sizes."""
    with jax.named_scope("conv"):
        return jax.nn.relu(models.conv(x, params["kernel"], 2)), None


def head(params, A, rest):
    return jnp.tanh(A.reshape(A.shape[0], -1) @ params["hidden"][: A[0].size]) @ params["out"]


SPLIT = camjax.Split(features, head, name="conv")
SIZE = 6


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64():
        yield


@pytest.fixture
def model():
    params = models.params(size=SIZE)
    params = params | {"kernel": params["kernel"].at[..., 2].set(0)}  # a channel that is constant
    return camjax.Model(lambda p, x: head(p, features(p, x)[0], None), params)


@pytest.fixture
def x():
    return models.pictures(2, size=SIZE)


def scores(model, probability=False):
    """The score of class 1 for one picture, and for one example's maps."""
    of = jax.jit(lambda x: (jax.nn.softmax if probability else lambda out: out)(model(x[None])[0])[1])
    at = jax.jit(lambda maps: head(model.params, maps[None], None)[0, 1])
    return lambda x: float(of(jnp.asarray(x))), lambda maps: float(at(jnp.asarray(maps)))


def most_varied(A, n):
    return A[..., np.argsort(-A.std((0, 1)), kind="stable")[:n]]


P = perturbation
CASES = {
    camjax.ScoreCAM(): lambda A, G, x, S, p, h: P.score_cam(A, x, S),
    camjax.ScoreCAM("probability"): lambda A, G, x, S, p, h: P.score_cam(A, x, p, weights="probability"),
    camjax.ScoreCAM("increase"): lambda A, G, x, S, p, h: P.score_cam(A, x, S, weights="increase"),
    camjax.FasterScoreCAM(channels=3): lambda A, G, x, S, p, h: P.score_cam(most_varied(A, 3), x, S),
    camjax.ISCAM(3): lambda A, G, x, S, p, h: P.iscam(A, x, S, 3),
    camjax.GroupCAM(3, blur=(5, 2.0)): lambda A, G, x, S, p, h: P.group_cam(A, G, x, p, 3, (5, 2.0)),
    camjax.GroupCAM(2, "score", (3, 1.0)): lambda A, G, x, S, p, h: P.group_cam(A, G, x, S, 2, (3, 1.0)),
    camjax.AblationCAM(): lambda A, G, x, S, p, h: P.ablation_cam(A, h),
    camjax.AblationCAM(divide=False): lambda A, G, x, S, p, h: P.ablation_cam(A, h, divide=False),
    camjax.ReciproCAM(): lambda A, G, x, S, p, h: P.reciprocam(A, h),
    camjax.ReciproCAM(gaussian=True): lambda A, G, x, S, p, h: P.reciprocam(A, h, gaussian=True),
    camjax.Occlusion(3, 2, 0.5): lambda A, G, x, S, p, h: P.occlusion(x, S, 3, 2, 0.5),
}


@pytest.mark.parametrize("method", CASES, ids=repr)
def test_a_method_is_its_papers_equation_whatever_the_chunk(method, model, x):
    found = {chunk: camjax.explain(model, x, 1, layer=SPLIT, method=method, chunk=chunk) for chunk in (64, 7, 1)}
    (S, h), (p, _) = scores(model), scores(model, probability=True)
    gradient = jax.grad(lambda maps: head(model.params, maps[None], None)[0, 1])
    for b in range(2):
        A = np.asarray(features(model.params, x[b : b + 1])[0][0])
        want = CASES[method](A, np.asarray(gradient(jnp.asarray(A))), np.asarray(x[b]), S, p, h)
        for chunk, got in found.items():
            scale = max(np.abs(want).max(), 1e-9)
            np.testing.assert_allclose(got.raw[b], want, rtol=1e-6, atol=1e-6 * scale, err_msg=f"chunk {chunk}")


NOISY = (camjax.SSCAM(2), camjax.SSCAM(2, 0.5, "inputs"), camjax.RISE(9, 3), camjax.RISE(9, 3, scores="score"))


@pytest.mark.parametrize("method", NOISY, ids=repr)
def test_random_methods_depend_on_key_and_id_alone(method, model, x):
    options = {"layer": SPLIT, "method": method, "size": None}
    key, ids = jax.random.key(1), np.array([4, 9])
    whole = camjax.explain(model, x, [[1, 2]], key=key, ids=ids, chunk=64, **options).raw
    small = camjax.explain(model, x, [[1, 2]], key=key, ids=ids, chunk=7, **options).raw
    np.testing.assert_allclose(small, whole, rtol=1e-9, atol=1e-12)
    alone = camjax.explain(model, x[1:], 1, key=key, ids=ids[1:], chunk=1, **options).raw
    np.testing.assert_allclose(alone[0], whole[1, 0], rtol=1e-9, atol=1e-12)  # and all targets share the draws
    other = camjax.explain(model, x[1:], 1, key=jax.random.key(2), ids=ids[1:], chunk=1, **options).raw
    assert np.abs(other - alone).max() > 1e-6


def test_the_chunk_does_not_matter_to_opti_cam(model, x):
    pytest.importorskip("optax")
    small, middle, whole = (
        camjax.explain(model, x, 1, layer=SPLIT, method=camjax.OptiCAM(3), size=None, chunk=chunk).raw
        for chunk in (1, 7, 64)
    )
    np.testing.assert_allclose(middle, whole, rtol=1e-6, atol=1e-12)  # Adam divides small gradients by their own size
    np.testing.assert_allclose(small, whole, rtol=1e-6, atol=1e-12)


def test_sscam_with_next_to_no_noise_is_score_cam(model, x):
    options = {"layer": SPLIT, "size": None, "key": jax.random.key(0)}
    want = camjax.explain(model, x, 1, method=camjax.ScoreCAM(), **options).raw
    for on in ("maps", "inputs"):
        got = camjax.explain(model, x, 1, method=camjax.SSCAM(2, 1e-9, on), **options).raw
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)


def test_rise_finds_the_pixel_that_the_score_reads():
    """For S = the mean of one corner, the expected map is largest there; its level is that of p^2 elsewhere."""
    split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A[:, :3, :3].mean((1, 2)))
    model = camjax.Model(lambda w, x: x[:, :3, :3].mean((1, 2)), jnp.zeros(()))
    method = camjax.RISE(600, 4, scores="score")
    raw = camjax.explain(model, jnp.ones((1, 12, 12, 1)), 0, layer=split, method=method, key=jax.random.key(0)).raw[0]
    assert raw[:3, :3].min() > raw[6:, 6:].max()
    np.testing.assert_allclose(raw[6:, 6:].mean(), 0.5, atol=0.05)  # E[m_i m_j] / E[m] = p for unrelated cells


def test_faster_score_cam_takes_the_channels_that_vary_most(model, x):
    method = camjax.FasterScoreCAM(channels=2)
    got = camjax.explain(model, x, 1, layer=SPLIT, method=method, size=None).weights
    deviation = np.asarray(features(model.params, x)[0]).std((1, 2))
    for weights, std in zip(np.asarray(got), deviation, strict=True):
        np.testing.assert_array_equal(np.flatnonzero(weights), np.sort(np.argsort(std)[-2:]))
        np.testing.assert_allclose(weights.sum(), 1, rtol=1e-9)


def test_opti_cam_keeps_more_of_the_score_than_equal_weights(model, x):
    pytest.importorskip("optax")
    got = camjax.explain(model, x, 1, layer=SPLIT, method=camjax.OptiCAM(60), size=None)
    S, _ = scores(model)
    for b in range(2):
        A = np.asarray(features(model.params, x[b : b + 1])[0][0])

        def off(w, b=b, A=A):
            mask = P.scaled(P.bilinear(A @ w, (SIZE, SIZE)))
            return abs(S(np.asarray(x[b])) - S(np.asarray(x[b]) * mask[..., None]))

        weights = np.asarray(got.weights[b])
        np.testing.assert_allclose(weights.sum(), 1, rtol=1e-9)
        assert off(weights) <= off(np.full(5, 0.2)) + 1e-12


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16])
@pytest.mark.parametrize(
    "method",
    [
        camjax.ScoreCAM(),
        camjax.GroupCAM(blur=(3, 1.0)),
        camjax.AblationCAM(),
        camjax.ReciproCAM(),
        camjax.Occlusion(2, 2),
    ],
    ids=lambda m: type(m).__name__,
)
def test_nothing_is_nan_for_constant_and_dead_maps_in_any_precision(method, dtype):
    model = camjax.Model(lambda p, x: head(p, features(p, x)[0], None), models.params(size=SIZE, dtype=dtype))
    x = jnp.stack([jnp.zeros((SIZE, SIZE, 2)), jnp.ones((SIZE, SIZE, 2))]).astype(dtype)
    got = camjax.explain(model, x, [[0, 1, 2, 3]], layer=SPLIT, method=method, strict=False)
    assert not (np.asarray(got.status) & int(camjax.Status.NON_FINITE)).any()
    assert np.isfinite(got.heatmap).all()


def test_channels_first_and_two_inputs_are_masked_where_the_grid_comes_from():
    split = camjax.Split(
        lambda w, x: (jnp.moveaxis(x["image"], 1, -1), x["gain"]),
        lambda w, A, rest: A.sum((1, 2)) * rest,
        axes=camjax.Axes.of((1, 2, 3, 2), input_dims=(2, 3), leaf=1),
    )
    model = camjax.Model(lambda w, x: x["image"].sum((2, 3)) * x["gain"], jnp.zeros(()))
    x = {"gain": jnp.full((1, 2), 3.0), "image": jnp.arange(12.0).reshape(1, 2, 2, 3)}
    got = camjax.explain(model, x, 1, layer=split, method=camjax.Occlusion(1, 1)).raw[0]
    np.testing.assert_allclose(got, 3 * x["image"][0, 1], rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: camjax.ScoreCAM("mean"), "ScoreCAM: weights='mean', expected one of 'softmax'"),
        (lambda: camjax.ScoreCAM(channels=0), "ScoreCAM: channels=0, expected a positive int"),
        (lambda: camjax.SSCAM(on="both"), "SSCAM: on='both', expected 'maps' or 'inputs'"),
        (lambda: camjax.SSCAM(sigma=0), "SSCAM: samples=35, sigma=0; expected positive numbers"),
        (lambda: camjax.ISCAM(0), "ISCAM: samples=0"),
        (lambda: camjax.GroupCAM(scores="logit"), "GroupCAM: scores='logit', expected 'probability' or 'score'"),
        (lambda: camjax.GroupCAM(blur=(50, 1.0)), "GroupCAM: groups=32, blur=.50, 1.0.; expected"),
        (lambda: camjax.OptiCAM(steps=0), "OptiCAM: steps=0, rate=0.1; expected positive numbers"),
        (lambda: camjax.RISE(scores="x"), "RISE: scores='x', expected"),
        (lambda: camjax.RISE(probability=1.0), "RISE: samples=4000, cells=7, probability=1.0; expected"),
        (lambda: camjax.Occlusion(patch=0), "Occlusion: patch=0, stride=8; expected positive ints"),
    ],
)
def test_bad_options_are_refused_in_words(make, text):
    with pytest.raises(ValueError, match=text):
        make()


def test_a_probability_is_asked_of_classes_only(model, x):
    with pytest.raises(
        ValueError, match="target: the method compares class probabilities, so the target must be about a"
    ):
        camjax.explain(model, x, lambda out: out.sum(), layer=SPLIT, method=camjax.GroupCAM(blur=(3, 1.0)))
