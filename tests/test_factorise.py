"""Deep Feature Factorisation: its equation, its law, and what it finds in pictures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import camjax
from camjax._factors import factors
from camjax.testing import oracles
from tests import models

FACTORS = jax.jit(factors, static_argnums=(1, 2))


def nonnegative(seed, rows, columns, zeros=0.3):
    rng = np.random.default_rng(seed)
    return rng.gamma(1.0, size=(rows, columns)) * (rng.random((rows, columns)) > zeros)


@pytest.mark.parametrize("shape", [(12, 5), (5, 12)], ids=str)
def test_it_is_the_updates_of_the_paper_from_the_same_start(shape):
    V = nonnegative(0, *shape)
    with jax.enable_x64():
        got = FACTORS(jnp.asarray(V), 3, 40)
    for ours, theirs in zip(got, oracles.factors.factors(V, 3, 40), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6 * np.abs(theirs).max())


@settings(max_examples=8)
@given(seed=st.integers(0, 2**31), zeros=st.sampled_from([0.0, 0.5, 0.95]), unit=st.sampled_from([2.0**-20, 2.0**20]))
def test_no_update_makes_the_error_larger_and_the_start_is_no_chance(seed, zeros, unit):
    V = nonnegative(seed, 12, 5, zeros)
    V[0, 0] = 1  # not all zero
    with jax.enable_x64():
        H, W, errors = map(np.asarray, FACTORS(jnp.asarray(unit * V), 3, 40))
        again = [np.asarray(array) for array in FACTORS(jnp.asarray(V), 3, 40)]
    assert (np.diff(errors) <= 1e-12).all()
    assert errors[-1] < 1
    np.testing.assert_allclose(errors[-1], np.linalg.norm(unit * V - H @ W) / np.linalg.norm(unit * V), atol=1e-9)
    assert min(H.min(), W.min()) >= 0
    for got, want in zip((H, W / unit, errors), again, strict=True):  # in other units the maps are the same
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


SCENES = 24


@pytest.fixture(scope="module")
def scenes():
    return camjax.testbed.scenes(5, SCENES, objects=(2, 2))


@pytest.fixture(scope="module")
def found(scenes):
    return camjax.factorise(camjax.testbed.model(), camjax.testbed.preprocess(scenes.images), concepts=8, chunk=7)


def test_concepts_tell_the_objects_of_a_scene_apart_and_what_they_are(scenes, found):
    """Eight concepts of eight kinds of objects, found without asking for any."""
    heat, scores = np.asarray(found.heatmap), np.asarray(found.scores)
    strongest = np.array([[heat[i][:, scenes.masks[i, j]].mean(1).argmax() for j in range(2)] for i in range(SCENES)])
    assert (strongest[:, 0] != strongest[:, 1]).mean() > 0.95
    assert (scores.argmax(1)[strongest] == scenes.classes[:, :2]).mean() > 0.95
    inside = np.array([heat[i][strongest[i, j]][scenes.masks[i, j]].mean() for i in range(SCENES) for j in range(2)])
    outside = np.array([heat[i][strongest[i, j]][~scenes.masks[i, j]].mean() for i in range(SCENES) for j in range(2)])
    assert np.median(inside / outside) > 4


def test_the_result_is_what_it_says(found):
    model = camjax.testbed.model()
    np.testing.assert_allclose(found.maps.max((0, 2, 3)), 1, rtol=1e-6)
    assert found.heatmap.shape == (SCENES, 8, 64, 64)
    assert float(found.heatmap.max()) <= 1 + 1e-6
    assert found.errors.shape == (201,)
    assert found.errors[-1] < 0.4
    head = model.params["head"]  # behind an average over space a picture that is a concept everywhere has its vector
    want = np.asarray(found.concepts) @ np.asarray(head["kernel"]) + np.asarray(head["bias"])
    np.testing.assert_allclose(found.scores, want, rtol=1e-4, atol=1e-4)
    best = want.argmax(1)
    assert [own[0][0] for own in found.top(2)] == [camjax.testbed.CLASSES[i] for i in best]
    assert [len(own) for own in found.top(2)] == [2] * 8
    assert isinstance(jax.tree.map(np.asarray, found), camjax.Factorisation)


def test_the_concepts_of_a_picture_are_drawn_as_heatmaps_are(scenes, found):
    pytest.importorskip("PIL")
    pytest.importorskip("matplotlib")
    titles = [own[0][0] for own in found.top(1)]
    sheet = camjax.plot.panel(scenes.images[0], found.heatmap[0], titles, tile=64, columns=9)
    assert sheet.width > 9 * 64


def test_where_the_picture_bypasses_the_layer_scores_are_their_mean_over_pictures():
    split = camjax.Split(
        lambda p, x: (jax.nn.relu(x), x[..., :1]), lambda p, A, rest: A.mean((1, 2)) + rest.sum((1, 2))
    )
    model = camjax.Model(lambda p, x: x.mean((1, 2)), jnp.zeros(()))
    x = models.pictures(3, size=4)
    found = camjax.factorise(model, x, concepts=2, layer=split, iterations=5, size=(8, 6))
    np.testing.assert_allclose(found.scores, found.concepts + x[..., 0].sum((1, 2)).mean(), rtol=1e-5)
    assert found.heatmap.shape == (3, 2, 8, 6)
    assert found.top(1)[0][0][0] in (0, 1)


def test_models_without_class_scores_have_concepts_without():
    split = camjax.Split(lambda p, x: (jax.nn.relu(x), None), lambda p, A, rest: A)
    model = camjax.Model(lambda p, x: jax.nn.relu(x), jnp.zeros(()))
    found = camjax.factorise(model, models.pictures(2, size=4), concepts=1, layer=split, iterations=2, size=None)
    assert found.scores is None
    assert found.heatmap is None
    with pytest.raises(ValueError, match="top: the model's outputs are no class scores, so its concepts have none"):
        found.top()


PLAIN = camjax.Split(lambda p, x: (x, None), lambda p, A, rest: A.mean((1, 2)), name="gelu")
ERRORS = {
    "negative maps": (
        1.0,
        {},
        r"layer: .* of layer 'gelu' are negative in places \(down to -.*name a layer behind a R",
    ),
    "dead maps": (0.0, {}, r"layer: all feature maps of layer 'gelu' are zero for these pictures; name another layer"),
    "NaN": (np.nan, {}, r"x: the feature maps of layer 'gelu' have a NaN or an infinity; look for one in x"),
    "too many": (
        1.0,
        {"concepts": 3},
        r"concepts: got 3, .* 48 positions and 2 channels, which has at most 2; ask for",
    ),
    "none": (1.0, {"concepts": 0}, r"concepts: got 0, expected a positive int"),
    "no iterations": (1.0, {"iterations": 1.5}, r"iterations: got 1.5, expected a positive int"),
    "a size": (1.0, {"size": (8,)}, r"size: got \(8,\), but the maps have 2 space axes"),
}


@pytest.mark.parametrize(("factor", "options", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_in_words(factor, options, message):
    model = camjax.Model(lambda p, x: x.mean((1, 2)), jnp.zeros(()))
    x = models.pictures(3, size=4) * factor
    with pytest.raises(ValueError, match=message):
        camjax.factorise(model, x, **({"concepts": 1, "layer": PLAIN, "iterations": 2} | options))
