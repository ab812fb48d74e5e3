"""One picture to try things on, drawn when asked for: nothing to download, and its truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from camjax.testbed._scenes import Scenes, scenes

if TYPE_CHECKING:
    from jaxtyping import UInt8

_SEED, _INDEX = 7, 21


def example(size: int = 256) -> Scenes:
    """The example scene, alone in a batch of one, at any size: picture, masks, classes, colours, places.

    Example:
        >>> example().names(0)
        ('green disc', 'red star', 'pink flower', 'blue heart')
    """
    return scenes(_SEED, 1, objects=(4, 4), size=size, start=_INDEX)


def picture(size: int = 256) -> UInt8[np.ndarray, "size size 3"]:
    """The example scene's picture, 8-bit RGB. What is in it: `example().names(0)`.

    It is larger than the network's input, as photos are: `Preprocess` says how it is made smaller.

    Example:
        >>> picture().shape
        (256, 256, 3)
    """
    return example(size).images[0]
