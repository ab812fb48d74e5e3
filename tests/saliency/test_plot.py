"""Attributions as pictures."""

import jax.numpy as jnp
import numpy as np
import pytest

from camjax import plot

VALUES = np.random.default_rng(0).normal(size=(20, 30, 3))


def test_the_magnitude_is_clipped_at_a_percentile_and_is_a_heatmap():
    heat = plot.magnitude(VALUES)
    size = np.abs(VALUES).sum(-1)
    np.testing.assert_allclose(heat, np.minimum(size / np.percentile(size, 99), 1))
    assert 0.005 < (heat == 1).mean() < 0.02
    np.testing.assert_array_equal(plot.magnitude(jnp.asarray(VALUES.transpose(2, 0, 1)), channel=0).shape, heat.shape)
    np.testing.assert_allclose(plot.magnitude(VALUES[..., 0], channel=None, percentile=100).max(), 1)
    assert plot.overlay(np.zeros((20, 30, 3), np.uint8), heat).shape == (20, 30, 3)


def test_the_relief_is_grey_where_nothing_is_and_follows_the_sign():
    values = np.zeros((4, 5, 3))
    values[1, 2], values[3, 4] = [2.0, -2.0, 1.0], [-1.0, 0.0, 9.0]
    picture = plot.relief(values, percentile=98)
    assert picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [128, 128, 128]
    assert picture[1, 2, 0] > 128 > picture[1, 2, 1]
    assert picture[3, 4, 2] == 255
    np.testing.assert_array_equal(plot.relief(values.transpose(2, 0, 1), channel=0, percentile=98), picture)
    one = plot.relief(values[..., :1])
    np.testing.assert_array_equal(one, np.repeat(one[..., :1], 3, -1))


@pytest.mark.parametrize("draw", [plot.magnitude, plot.relief])
def test_nothing_is_drawn_as_nothing_and_one_pixel_is_seen(draw):
    nothing = draw(np.zeros((8, 8, 3)))
    assert (nothing == nothing[0, 0]).all()
    one = np.zeros((30, 30, 3))
    one[3, 4] = 1e-30
    assert draw(one)[3, 4].min() == draw(one).max() > draw(one)[0, 0].max()


@pytest.mark.parametrize(
    ("values", "options", "text"),
    [
        (VALUES[None], {}, r"values: got shape \[1, 20, 30, 3\], expected \[h, w, colours\] of one picture"),
        (VALUES[..., 0], {}, r"pass channel=None for \[h, w\]"),
        (np.full((2, 2, 3), np.nan), {}, r"values: they are not all finite; Attribution.status"),
        (VALUES, {"percentile": 0}, "percentile: got 0, expected a number above 0"),
    ],
)
def test_refusals(values, options, text):
    for draw in (plot.magnitude, plot.relief):
        with pytest.raises(ValueError, match=text):
            draw(values, **options)


def test_a_relief_has_one_colour_or_three():
    with pytest.raises(ValueError, match=r"values: got 30 colours in shape \[20, 3, 30\], expected 1 or 3"):
        plot.relief(VALUES.transpose(0, 2, 1))
