"""Outlines and their signed distances, against closed forms."""

import itertools

import numpy as np
import pytest

from camjax.testbed._shapes import CLASSES, CLUTTER, distance, outline, signed_distance


def grid(side=41, extent=1.2):
    ticks = np.linspace(-extent, extent, side)
    return np.stack(np.meshgrid(ticks, ticks), axis=-1)


def test_disc_and_square_against_closed_forms():
    points = grid()
    disc = signed_distance(outline("disc"), points)
    np.testing.assert_allclose(disc, np.linalg.norm(points, axis=-1) - 0.84, atol=2e-3)
    beyond = np.abs(points) - 0.5**0.5
    square = np.linalg.norm(np.maximum(beyond, 0), axis=-1) + np.minimum(beyond.max(-1), 0)
    np.testing.assert_allclose(signed_distance(outline("square"), points), square, atol=1e-9)


@pytest.mark.parametrize("name", CLASSES + CLUTTER)
def test_outlines_lie_in_the_unit_disc_and_enclose_an_area(name):
    corners = outline(name)
    assert np.linalg.norm(corners, axis=1).max() <= 1.02
    inside = signed_distance(outline(name), grid(121)) < 0
    x, y = corners.T
    shoelace = 0.5 * abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))  # the area, from the corners
    assert inside.mean() * 2.4**2 == pytest.approx(shoelace, abs=0.06)
    assert shoelace > (0.2 if name in CLUTTER else 0.9)


def test_the_table_interpolates_the_distances():
    points = grid(37, 1.1)
    names = CLASSES + CLUTTER
    x, y = (np.broadcast_to(points[..., i], (len(names), 37, 37)) for i in range(2))
    table = distance(np.arange(len(names)), x, y)
    for number, name in enumerate(names):
        np.testing.assert_allclose(table[number], signed_distance(outline(name), points), atol=0.015)


def test_points_off_the_table_are_outside():
    far = np.full((len(CLASSES), 1), 9.0)
    assert (distance(np.arange(len(CLASSES)), far, -far) > 0.2).all()


def test_shapes_differ():
    """No class covers the same points as another, whichever way it is turned."""
    points = grid(41)
    turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    matrices = [np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) for t in turns]
    covers = {name: [signed_distance(outline(name), points @ m) < 0 for m in matrices] for name in CLASSES}
    for a, b in itertools.combinations(CLASSES, 2):
        overlap = max((covers[a][0] & other).sum() / (covers[a][0] | other).sum() for other in covers[b])
        assert overlap < 0.86, (a, b)
