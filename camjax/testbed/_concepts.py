"""What the objects of scenes have in common, as masks: the ground truth for naming neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from camjax.testbed._layout import COLOURS
from camjax.testbed._scenes import TEXTURES, Scenes
from camjax.testbed._shapes import CLASSES

if TYPE_CHECKING:
    from jaxtyping import Bool


def concepts(scenes: Scenes) -> tuple[tuple[str, ...], Bool[np.ndarray, "n concepts h w"]]:
    """The names of all shapes, colours and textures, and where each of them is in each scene.

    Every object's pixels belong to three concepts: its shape, its colour and its texture.

    Example:
        >>> from camjax import testbed
        >>> names, masks = concepts(testbed.scenes(0, 2))
        >>> names[0], names[8], names[16], masks.shape
        ('disc', 'red', 'plain', (2, 20, 64, 64))
    """
    parts = []
    for owner, count in (
        (scenes.classes, len(CLASSES)),
        (scenes.colours, len(COLOURS)),
        (scenes.textures, len(TEXTURES)),
    ):
        masks = np.zeros((len(owner), count, *scenes.masks.shape[2:]), bool)
        for scene, slot in np.argwhere(owner >= 0):
            masks[scene, owner[scene, slot]] |= scenes.masks[scene, slot]
        parts.append(masks)
    return (*CLASSES, *COLOURS, *TEXTURES), np.concatenate(parts, 1)
