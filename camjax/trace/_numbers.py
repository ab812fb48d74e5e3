"""Captured arrays that are mere numbers, and no weights."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def interpolates(array: Any) -> bool:
    """Whether a matrix `[out, in]` or `[in, out]` resamples an axis: its results are means of neighbours, in order.

    Its rows sum to one, read a window no wider than that of Lanczos' kernel, and their centres of gravity run once
    through the axis. No matrix of weights does. One that makes an axis longer and in which all that is read counts the
    same repeats positions, as adaptive pooling may; a map is not explained at a size that it was blown up to.
    """
    if isinstance(array, Tracer) or np.ndim(array) != 2 or not jnp.issubdtype(array.dtype, jnp.floating):
        return False
    matrix = np.asarray(array, np.float64)
    return any(_resamples(m) for m in (matrix, matrix.T))


def _resamples(rows: np.ndarray) -> bool:
    out, size = rows.shape
    if min(out, size) < 2 or out == size or not np.allclose(rows.sum(1), 1, atol=1e-2):
        return False
    position = np.arange(size)
    read = np.abs(rows) > 1e-6
    first, last = read.argmax(1), size - 1 - read[:, ::-1].argmax(1)
    step = max(size / out, 1)
    centre = rows @ position
    runs = (np.diff(centre) > -1e-3).all() and centre[0] < min(step, centre[-1]) and centre[-1] > size - 1 - step
    weighed = out < size or (read & (np.abs(rows - rows.max(1, keepdims=True)) > 1e-3)).any()
    return bool(runs and weighed and (last - first).max() <= math.ceil(6 * step))
