"""The shapes of the testbed: closed outlines, and their signed distances tabulated once.

An outline is a polygon in the unit disc (x to the right, y down, as in a picture). Every shape is drawn
from one table of signed distances, so a new shape is a new outline and nothing else.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

CLASSES: tuple[str, ...] = ("disc", "square", "triangle", "star", "cross", "heart", "moon", "flower")
"""The classes, in the order of the network's logits. They differ in shape alone, never in colour."""

CLUTTER: tuple[str, ...] = ("dash", "arc", "speck")
"""Small shapes of the background, which are no object."""

_EXTENT, _CELLS = 1.25, 128  # the table covers [-1.25, 1.25]^2 in 128 cells


def _polar(radius: Float[np.ndarray, " m"], start: float = -np.pi / 2) -> Float[np.ndarray, "m 2"]:
    """The closed curve with `radius` at evenly spaced angles, the first of which points up."""
    angle = start + np.linspace(0, 2 * np.pi, len(radius), endpoint=False)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def _arc(centre: float, radius: float, start: float, stop: float, points: int = 40) -> Float[np.ndarray, "m 2"]:
    """An arc around (`centre`, 0), from angle `start` to `stop`."""
    angle = np.linspace(start, stop, points)
    return np.stack([centre + radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def _cross(arm: float, half_width: float) -> Float[np.ndarray, "12 2"]:
    """A plus sign, corner by corner: one quarter, turned four times."""
    quarter = np.array([[half_width, -half_width], [arm, -half_width], [arm, half_width]])
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    return np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])


def _heart() -> Float[np.ndarray, "m 2"]:
    """The heart curve (16 sin^3 t, 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t), scaled into the unit disc."""
    t = np.linspace(0, 2 * np.pi, 80, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -(y + 1.5)], axis=-1) / 18.6


def _moon(cut: float = 0.52, radius: float = 0.68) -> Float[np.ndarray, "m 2"]:
    """The unit disc without the disc of `radius` around (`cut`, 0), moved so that its middle is 0."""
    tip = np.arccos((1 + cut**2 - radius**2) / (2 * cut))  # where the two circles meet, seen from the origin
    inner = np.arctan2(np.sin(tip), np.cos(tip) - cut)
    outer_arc, inner_arc = _arc(0, 1, tip, 2 * np.pi - tip), _arc(cut, radius, 2 * np.pi - inner, inner)
    return 0.92 * (np.concatenate([outer_arc, inner_arc[1:-1]]) + np.array([0.08, 0]))


def outline(name: str) -> Float[np.ndarray, "m 2"]:
    """The closed outline of a shape: its corners (x, y) in order, y pointing down."""
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    shapes = {
        "disc": lambda: _polar(np.full(64, 0.84)),
        "square": lambda: _polar(np.ones(4), -np.pi / 4),
        "triangle": lambda: _polar(np.ones(3)),
        "star": lambda: _polar(np.tile([1.0, 0.45], 5)),
        "cross": lambda: _cross(0.95, 0.32),
        "heart": _heart,
        "moon": _moon,
        "flower": lambda: _polar(0.58 + 0.4 * np.sqrt(np.abs(np.cos(2.5 * angles)))),
        "dash": lambda: np.array([[-1, -0.16], [1, -0.16], [1, 0.16], [-1, 0.16]]),
        "arc": lambda: np.concatenate([_arc(0, 1, 0, 2.2), _arc(0, 0.7, 2.2, 0)]),
        "speck": lambda: np.array([[-0.35, -0.3], [0.4, -0.1], [0.3, 0.35], [-0.2, 0.25]]),
    }
    return shapes[name]()


def signed_distance(outline: Float[np.ndarray, "m 2"], points: Float[np.ndarray, "*p 2"]) -> Float[np.ndarray, "*p"]:
    """Distance from each point to a closed polygon, negative inside (even-odd rule).

    Example:
        >>> square = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
        >>> signed_distance(square, np.array([[0.0, 0.0], [3.0, 0.0]])).tolist()
        [-1.0, 2.0]
    """
    # Coordinate by coordinate: sums over an axis of two are several times slower.
    (ax, ay), (bx, by) = outline.T, np.roll(outline, -1, axis=0).T
    ex, ey = bx - ax, by - ay
    x, y = points[..., :1], points[..., 1:]
    ox, oy = x - ax, y - ay
    along = np.clip((ox * ex + oy * ey) / (ex**2 + ey**2), 0, 1)
    distance = np.sqrt(((ox - along * ex) ** 2 + (oy - along * ey) ** 2).min(-1))
    spans = (ay > y) != (by > y)
    # The ray to the right crosses the edge where the point is on the edge's left, seen upwards.
    side = ex * oy - ey * ox
    crossings = (spans & ((side < 0) == (ey < 0))).sum(-1)
    return np.where(crossings % 2 == 1, -distance, distance)


@functools.cache
def _table() -> Float32[np.ndarray, "shapes side side"]:
    """Signed distances of every shape at the corners of the table's cells, rows by y."""
    ticks = np.linspace(-_EXTENT, _EXTENT, _CELLS + 1)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1)
    return np.stack([signed_distance(outline(name), grid) for name in CLASSES + CLUTTER]).astype(np.float32)


def distance(
    shape: Float[np.ndarray, " n"], x: Float[np.ndarray, "n *p"], y: Float[np.ndarray, "n *p"]
) -> Float32[np.ndarray, "n *p"]:
    """Signed distances of the points (x[i], y[i]) to shape number `shape[i]`, bilinear in the table.

    Shapes are numbered as in `CLASSES + CLUTTER`. Points off the table get the value of its border,
    which is positive: outside.
    """
    table = _table()
    number = np.reshape(shape, (-1,) + (1,) * (x.ndim - 1))
    scale = _CELLS / (2 * _EXTENT)
    column = np.clip((x + _EXTENT) * scale, 0, _CELLS - 1e-3)
    row = np.clip((y + _EXTENT) * scale, 0, _CELLS - 1e-3)
    j, i = column.astype(np.int32), row.astype(np.int32)
    s, t = column - j, row - i
    flat = table.ravel()
    corner = (number * (_CELLS + 1) + i) * (_CELLS + 1) + j
    upper = flat[corner] * (1 - s) + flat[corner + 1] * s
    lower = flat[corner + _CELLS + 1] * (1 - s) + flat[corner + _CELLS + 2] * s
    return upper * (1 - t) + lower * t
