"""What the tests see."""

import numpy as np


def photo(height=40, width=60, seed=0):
    """A smooth picture, so that JPEG keeps its values to within a few steps."""
    y, x = np.mgrid[:height, :width]
    rng = np.random.default_rng(seed)
    waves = [np.sin(x / rng.uniform(5, 20) + y / rng.uniform(5, 20) + i) for i in range(3)]
    return np.uint8(np.stack(waves, -1) * 100 + 127)


def saved(path, image, **options):
    image.save(path, **options)
    return path
