"""What is where in a scene, in units of the picture's side: the random half of the picture generator.

A scene is a function of one row of uniform numbers, and that row is a function of the seed and the scene's
index alone. So scene `i` is the same whatever the number of scenes, and its picture the same at any size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from camjax.testbed._shapes import CLASSES, CLUTTER

if TYPE_CHECKING:
    from jaxtyping import Float32, Int

SLOTS = 4
"""The most objects a scene can have."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 48, 49),
    "orange": (240, 130, 40),
    "yellow": (246, 205, 66),
    "green": (62, 160, 85),
    "teal": (40, 170, 175),
    "blue": (52, 104, 200),
    "purple": (134, 78, 178),
    "pink": (235, 125, 165),
}
"""The named colours of objects, as 8-bit RGB."""

OCTAVES = (3, 6, 12, 24, 48)  # the background's noise: grids of so many random values a side
_STROKES = 10
_TRIES = 64  # candidate positions per object
# Objects' radii by the number of objects: fewer are larger. At 64 pixels the smallest is 8 pixels.
_RADIUS = np.array([[0.14, 0.22], [0.14, 0.22], [0.13, 0.19], [0.125, 0.16]], np.float32)
_GAP = 0.02  # between the bounding circles of two objects, and to the border
# How far each class may be turned, in turns: a heart and a triangle keep their feet.
_TURN = {"heart": 0.1, "disc": 0.0}


class Layout(NamedTuple):
    """`n` scenes as numbers.

    Positions and radii are in units of the picture's side, (y, x) from its top left. Unused object slots
    have class and colour -1. `noise` holds the background's random grids, flattened.
    """

    classes: Int[np.ndarray, "n 4"]
    colours: Int[np.ndarray, "n 4"]
    textures: Int[np.ndarray, "n 4"]
    centres: Float32[np.ndarray, "n 4 2"]
    radii: Float32[np.ndarray, "n 4"]
    angles: Float32[np.ndarray, "n 4"]
    tones: Float32[np.ndarray, "n 4"]
    stroke_shapes: Int[np.ndarray, "n s"]
    stroke_centres: Float32[np.ndarray, "n s 2"]
    stroke_radii: Float32[np.ndarray, "n s"]
    stroke_angles: Float32[np.ndarray, "n s"]
    stroke_tones: Float32[np.ndarray, "n s"]
    ground: Float32[np.ndarray, "n 8"]
    noise: Float32[np.ndarray, "n m"]


def layout(seed: int, n: int, objects: tuple[int, int], start: int = 0, distinct: bool = True) -> Layout:
    """Draw the layouts of scenes `start` .. `start + n - 1` of `seed`; see `scenes` for the arguments."""
    widths = {
        "count": 1,
        "classes": len(CLASSES),
        "looks": SLOTS * 5,  # colour, texture, radius, angle, tone
        "places": SLOTS * _TRIES * 2,
        "strokes": _STROKES * 6,
        "ground": 8,
        "noise": sum(side**2 for side in OCTAVES),
    }
    rows = np.empty((n, sum(widths.values())), np.float32)
    for i in range(n):
        np.random.default_rng((seed, start + i)).random(out=rows[i], dtype=np.float32)
    ends = np.cumsum(list(widths.values()))
    u = dict(zip(widths, np.split(rows, ends[:-1], axis=1), strict=True))

    low, high = objects
    count = low + (u["count"][:, 0] * (high - low + 1)).astype(np.int64)
    used = np.arange(SLOTS) < count[:, None]
    # The order of eight uniforms is a random permutation, so its first four classes are all different.
    ranked = np.argsort(u["classes"], axis=1)[:, :SLOTS]
    classes = ranked if distinct else (u["classes"][:, :SLOTS] * len(CLASSES)).astype(np.int64)
    colour, texture, size, angle, tone = np.moveaxis(u["looks"].reshape(n, SLOTS, 5), -1, 0)
    low_radius, high_radius = _RADIUS[count - 1].T[..., None]
    turn = np.array([_TURN.get(name, 0.5) for name in CLASSES], np.float32)[classes]
    radii = low_radius + size * (high_radius - low_radius)
    centres, radii = _place(radii, u["places"].reshape(n, SLOTS, _TRIES, 2), used)
    strokes = u["strokes"].reshape(n, _STROKES, 6)
    return Layout(
        classes=np.where(used, classes, -1),
        colours=np.where(used, (colour * len(COLOURS)).astype(np.int64), -1),
        textures=(texture * 4).astype(np.int64),
        centres=centres,
        radii=radii,
        angles=(2 * angle - 1) * 2 * np.pi * turn,
        tones=tone,
        stroke_shapes=len(CLASSES) + (strokes[..., 0] * len(CLUTTER)).astype(np.int64),
        stroke_centres=strokes[..., 1:3],
        stroke_radii=0.02 + 0.04 * strokes[..., 3],
        stroke_angles=2 * np.pi * strokes[..., 4],
        stroke_tones=strokes[..., 5],
        ground=u["ground"],
        noise=u["noise"],
    )


def _place(
    radii: Float32[np.ndarray, "n 4"], tries: Float32[np.ndarray, "n 4 t 2"], used: np.ndarray
) -> tuple[Float32[np.ndarray, "n 4 2"], Float32[np.ndarray, "n 4"]]:
    """Place the objects one after the other, so that their bounding circles never meet.

    Each takes its first candidate that is free; where none is, the best one, shrunk until it fits.
    """
    radii = radii.copy()
    margin = radii[..., None, None] + _GAP
    candidates = margin + tries * (1 - 2 * margin)
    centres = candidates[:, :, 0].copy()
    for k in range(1, SLOTS):
        apart = np.linalg.norm(candidates[:, k, :, None] - centres[:, None, :k], axis=-1)  # [n, t, k]
        room = apart - radii[:, None, :k] - _GAP
        free = np.where(used[:, None, :k], room, np.inf).min(-1) - radii[:, k, None]
        pick = np.where((free >= 0).any(1), (free >= 0).argmax(1), free.argmax(1))
        rows = np.arange(len(radii))
        centres[:, k] = candidates[rows, k, pick]
        radii[:, k] += np.minimum(free[rows, pick], 0)
    return centres, radii
