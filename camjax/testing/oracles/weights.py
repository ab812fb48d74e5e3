"""Oracles of the methods that weigh channels by gradients, and of those that weigh positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64

    Maps = Float64[np.ndarray, "*space C"]
    Raw = Float64[np.ndarray, "*space"]


def weighted(A: Maps, w: Float64[np.ndarray, " C"]) -> Raw:
    """raw_p = sum_k w_k A[p, k], one term after the other.

    >>> weighted(np.array([[1.0, 2.0]]), np.array([3.0, -1.0]))
    array([1.])
    """
    raw = np.zeros(A.shape[:-1])
    for p in np.ndindex(A.shape[:-1]):
        for k in range(A.shape[-1]):
            raw[p] += w[k] * A[(*p, k)]
    return raw


def cam(A: Maps, w: Float64[np.ndarray, " C"]) -> Raw:
    """CAM's eq. 2 from the classifier's own weights."""
    return weighted(A, w)


def elementwise(A: Maps, G: Maps) -> Raw:
    """Element-wise Grad-CAM: the positive products, summed."""
    raw = np.zeros(A.shape[:-1])
    for p in np.ndindex(A.shape[:-1]):
        for k in range(A.shape[-1]):
            raw[p] += max(G[(*p, k)] * A[(*p, k)], 0.0)
    return raw


def grad_cam_plus_plus(A: Maps, D1: Maps, D2: Maps, D3: Maps, *, normalised: bool = False) -> Raw:
    """Grad-CAM++: eq. 10 with the derivatives given, eq. 19's for D_j = G^j; a_k < 0 counts as 0."""
    positions = list(np.ndindex(A.shape[:-1]))
    w = np.zeros(A.shape[-1])
    for k in range(A.shape[-1]):
        a = max(sum(A[(*p, k)] for p in positions), 0.0)
        alpha = {}
        for p in positions:
            below = 2 * D2[(*p, k)] + a * D3[(*p, k)]
            alpha[p] = D2[(*p, k)] / below if below != 0 else 0.0
        if normalised:
            total = sum(alpha[p] for p in positions if D1[(*p, k)] > 0)
            alpha = {p: alpha[p] / total if total != 0 else alpha[p] for p in positions}
        for p in positions:
            w[k] += alpha[p] * max(D1[(*p, k)], 0.0)
    return weighted(A, w)


def xgradcam(A: Maps, G: Maps) -> Raw:
    """XGrad-CAM's eq. 7; 0 where the channel's sum cancels."""
    positions = list(np.ndindex(A.shape[:-1]))
    w = np.zeros(A.shape[-1])
    for k in range(A.shape[-1]):
        total = sum(A[(*p, k)] for p in positions)
        size = sum(abs(A[(*p, k)]) for p in positions)
        if abs(total) > 1e-6 * size:
            w[k] = sum(A[(*p, k)] / total * G[(*p, k)] for p in positions)
    return weighted(A, w)


def shapleycam(A: Maps, G: Maps, HA: Maps) -> Raw:
    """ShapleyCAM: the mean over space of G - H A / 2 as weights."""
    positions = list(np.ndindex(A.shape[:-1]))
    w = np.zeros(A.shape[-1])
    for k in range(A.shape[-1]):
        for p in positions:
            w[k] += (G[(*p, k)] - HA[(*p, k)] / 2) / len(positions)
    return weighted(A, w)


def layer_integrated_gradients(A: Maps, gradient: Callable[[Maps], Maps], steps: int) -> Raw:
    """Gradients averaged over the midpoints of the way from zero to A, times A."""
    mean = np.zeros_like(A)
    for i in range(1, steps + 1):
        mean += gradient(A * (i - 0.5) / steps) / steps
    raw = np.zeros(A.shape[:-1])
    for p in np.ndindex(A.shape[:-1]):
        raw[p] = sum(A[(*p, k)] * mean[(*p, k)] for k in range(A.shape[-1]))
    return raw
