"""Where the animals are on the pictures of a cat and a dog, and where a map is largest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    """A rectangle in the pixels of the 224 x 224 input, bounds included."""

    left: int
    top: int
    right: int
    bottom: int

    def holds(self, row: float, column: float) -> bool:
        """Whether a point is inside."""
        return self.left <= column <= self.right and self.top <= row <= self.bottom


# drawn by hand around each animal, cut where the boxes would overlap; both pictures fill the input
BOXES = {
    "both.png": {"cat": Box(38, 122, 200, 223), "dog": Box(74, 10, 168, 121)},
    "cat_dog.jpg": {"cat": Box(22, 122, 223, 223), "dog": Box(66, 12, 183, 121)},
}


def peak(one_map) -> tuple[float, float]:
    """Where one map of any resolution is largest: the cell's centre, in pixels of the input (row, column)."""
    row, column = np.unravel_index(np.argmax(one_map), one_map.shape)
    height, width = one_map.shape
    return (row + 0.5) * 224 / height, (column + 0.5) * 224 / width
