"""Test-time smoothing: views of an input, undone on the maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from tests import models


def explained(model, x, smoothing, **options):
    options = {"layer": models.POOLED, "size": None, "key": jax.random.key(0)} | options
    return camjax.explain(model, x, 1, smoothing=smoothing, **options)


@pytest.fixture(scope="module")
def model():
    return models.model(models.POOLED, size=6)


@pytest.fixture(scope="module")
def x():
    return models.pictures(2, size=6)


def test_a_flip_is_the_mean_of_the_map_and_of_the_mirror_images_map_turned_back(model, x):
    got = explained(model, x, camjax.Smoothing(flip=True))
    one, other = (explained(model, view, None).raw for view in (x, x[:, :, ::-1]))
    np.testing.assert_allclose(got.raw, (one + other[:, :, ::-1]) / 2, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got.score, explained(model, x, None).score)  # the clean input's


def test_the_smoothed_map_of_a_mirror_image_is_the_mirrored_map(model, x):
    smoothing = camjax.Smoothing(flip=True, zoom=(1.25,))
    one, other = (explained(model, view, smoothing).raw for view in (x, x[:, :, ::-1]))
    np.testing.assert_allclose(other, one[:, :, ::-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factor", [2.0, 0.5, 1.3])
def test_a_zoom_is_undone_where_it_shows_the_picture(factor):
    """For a model that maps brightness to brightness, smoothing a smooth picture gives the picture back."""
    split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)) * w)
    model = camjax.Model(lambda w, x: x.mean((1, 2)) * w, jnp.float32(256.0))
    ramp = jnp.broadcast_to(jnp.arange(16.0)[None, :, None, None], (1, 16, 16, 1))
    got = camjax.explain(model, ramp, 0, layer=split, size=None, smoothing=camjax.Smoothing(zoom=(factor,)))
    inner = slice(4, 12)
    np.testing.assert_allclose(got.raw[0, inner, inner], ramp[0, inner, inner, 0], atol=1e-4)
    assert np.isfinite(got.raw).all()


def test_noise_depends_on_the_key_and_the_id_alone(model, x):
    smoothing = camjax.Smoothing(noise=0.2, samples=3)
    both = explained(model, x, smoothing, ids=np.array([5, 9])).raw
    np.testing.assert_allclose(
        explained(model, x[1:], smoothing, ids=np.array([9])).raw[0], both[1], rtol=1e-4, atol=1e-6
    )
    assert not np.allclose(explained(model, x, smoothing, ids=np.array([6, 9])).raw[0], both[0])
    assert not np.allclose(explained(model, x, smoothing, ids=np.array([5, 9]), key=jax.random.key(1)).raw, both)


def test_many_samples_of_little_noise_are_the_map_itself(model, x):
    clean = explained(model, x, None).raw
    smoothed = explained(model, x, camjax.Smoothing(noise=1e-4, samples=4)).raw
    np.testing.assert_allclose(smoothed, clean, atol=1e-3 * np.abs(clean).max())


def test_the_predicted_class_is_that_of_the_clean_input(model, x):
    got = camjax.explain(
        model, x, layer=models.POOLED, smoothing=camjax.Smoothing(noise=5.0, samples=2), key=jax.random.key(3)
    )
    np.testing.assert_array_equal(got.target, camjax.explain(model, x, layer=models.POOLED).target)


def test_all_targets_share_the_noise(model, x):
    smoothing = camjax.Smoothing(noise=0.5, samples=2)
    both = camjax.explain(
        model, x, [[1, 2]], layer=models.POOLED, smoothing=smoothing, key=jax.random.key(0), size=None
    )
    np.testing.assert_allclose(both.raw[:, 0], explained(model, x, smoothing).raw, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"zoom": (1.1, 0)}, r"zoom factors must be positive numbers, got \(1.1, 0.0\)"),
        ({"noise": -1}, "noise must be a number >= 0.*got -1"),
        ({"samples": 0}, "samples must be a positive int, got 0"),
        ({"samples": 4}, "4 samples without noise are 4 times the same; pass noise=0.1"),
    ],
)
def test_a_bad_smoothing_is_refused_in_words(arguments, text):
    with pytest.raises(ValueError, match=text):
        camjax.Smoothing(**arguments)


def test_noise_without_a_key_and_anything_else_are_refused(model, x):
    with pytest.raises(ValueError, match="key: smoothing with noise draws random numbers; pass key="):
        explained(model, x, camjax.Smoothing(noise=0.1), key=None)
    with pytest.raises(ValueError, match=r"smoothing: got True, expected None or a camjax.Smoothing such as"):
        explained(model, x, True)
