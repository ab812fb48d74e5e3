"""The oracle of CAMERAS, and of the resizing of its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from camjax.testing.oracles.perturbation import bilinear

if TYPE_CHECKING:
    from jaxtyping import Float64

    Maps = Float64[np.ndarray, "h w C"]


def cameras(A: Sequence[Maps], G: Sequence[Maps], size: Sequence[int]) -> Float64[np.ndarray, "H W"]:
    """Sum over channels of mean U(A) times mean U(G), the means over the sizes of the input.

    >>> cameras([np.full((1, 1, 1), 2.0), np.full((1, 1, 1), 4.0)], [np.ones((1, 1, 1)), np.zeros((1, 1, 1))], (1, 2))
    array([[1.5, 1.5]])
    """
    raw = np.zeros(tuple(size))
    for k in range(A[0].shape[-1]):
        mean_A, mean_G = np.zeros(raw.shape), np.zeros(raw.shape)
        for A_s, G_s in zip(A, G, strict=True):
            mean_A += bilinear(A_s[..., k], size) / len(A)
            mean_G += bilinear(G_s[..., k], size) / len(A)
        raw += mean_A * mean_G
    return raw


def bicubic(x: Float64[np.ndarray, "h w colours"], size: Sequence[int]) -> Float64[np.ndarray, "H W colours"]:
    """Keys' cubic interpolation (a = -1/2) with half-pixel centres, pixel by pixel.

    Of the 4 x 4 neighbours those outside of the picture do not count; the weights of the others are made to sum to one.

    >>> bicubic(np.array([[[0.0], [0.0], [1.0], [1.0]]]), (1, 2)).ravel()
    array([-0.05882353,  1.05882353])
    """
    out = np.zeros((*size, x.shape[-1]))
    for p in np.ndindex(*size):
        at = [(q + 0.5) * n / m - 0.5 for q, n, m in zip(p, x.shape, size, strict=False)]
        total = 0.0
        for step in np.ndindex(4, 4):
            where = tuple(int(np.floor(a)) - 1 + s for a, s in zip(at, step, strict=True))
            if all(0 <= q < n for q, n in zip(where, x.shape, strict=False)):
                weight = _keys(at[0] - where[0]) * _keys(at[1] - where[1])
                out[p] += weight * x[where]
                total += weight
        out[p] /= total
    return out


def _keys(t: float) -> float:
    t = abs(t)
    if t < 1:
        return 1.5 * t**3 - 2.5 * t**2 + 1
    return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0
