"""Oracles of the methods that draw random numbers, from numbers drawn elsewhere; and of the one that descends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from camjax.testing.oracles.perturbation import Score, bilinear, scaled, softmax
from camjax.testing.oracles.weights import weighted

if TYPE_CHECKING:
    from jaxtyping import Float64

    Maps = Float64[np.ndarray, "h w C"]
    Raw = Float64[np.ndarray, "h w"]
    Mask = Float64[np.ndarray, "H W"]


def sscam(A: Maps, x: np.ndarray, score: Score, noise: Sequence[np.ndarray], *, on: str = "maps") -> Raw:
    """SS-CAM: `noise` has what is added to each map, `[h, w]`, or to the picture, `[H, W, colours]`."""
    channels = A.shape[-1]
    scores = []
    for k in range(channels):
        masks = [scaled(bilinear(A[..., k] + (e if on == "maps" else 0), x.shape[:2])) for e in noise]
        seen = [x + (0 if on == "maps" else e) for e in noise]
        scores.append(np.mean([score(y * mask[..., None]) for y, mask in zip(seen, masks, strict=True)]))
    return weighted(A, softmax(scores, [bool(np.ptp(A[..., k]) > 0) for k in range(channels)]))


def rise_mask(ones: np.ndarray, size: Sequence[int], at: Sequence[int]) -> Mask:
    """RISE's mask: cells of zeros and ones, upsampled to a cell more than the input's size, cut out at a place."""
    cell = [-(-n // cells) for n, cells in zip(size, ones.shape, strict=True)]
    large = bilinear(ones, [(cells + 1) * c for cells, c in zip(ones.shape, cell, strict=True)])
    return large[at[0] : at[0] + size[0], at[1] : at[1] + size[1]]


def rise(x: np.ndarray, score: Score, masks: Sequence[Mask], probability: float) -> Mask:
    """RISE's eq. 6."""
    return np.mean([score(x * mask[..., None]) * mask for mask in masks], axis=0) / probability


def opticam(A: Maps, x: np.ndarray, score: Score, steps: int, rate: float) -> Raw:
    """Opti-CAM: Adam (Kingma & Ba, 2015, algorithm 1) on u, its gradients by central differences."""

    def weights(u: Any) -> Any:
        return np.exp(u) / np.exp(u).sum()

    def loss(u: Any) -> float:
        mask = scaled(bilinear(weighted(A, weights(u)), x.shape[:2]))
        return abs(score(x) - score(x * mask[..., None]))

    u = np.full(A.shape[-1], 0.5)
    m, v = np.zeros_like(u), np.zeros_like(u)
    for t in range(1, steps + 1):
        h = 1e-5 * np.eye(len(u))
        gradient = np.array([(loss(u + e) - loss(u - e)) / 2e-5 for e in h])
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        u = u - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return weighted(A, weights(u))
