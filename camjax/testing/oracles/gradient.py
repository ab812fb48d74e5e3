"""Oracles of the methods that need feature maps and gradients, and of the gradient itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64


def gradient(
    score: Callable[[np.ndarray], float], A: Float64[np.ndarray, "..."], step: float = 1e-5
) -> Float64[np.ndarray, "..."]:
    """dS/dA by central differences, one entry after the other.

    >>> gradient(lambda a: float((a**2).sum()), np.array([1.0, 3.0])).round(6)
    array([2., 6.])
    """
    out = np.zeros_like(A)
    for where in np.ndindex(A.shape):
        ahead, behind = A.copy(), A.copy()
        ahead[where] += step
        behind[where] -= step
        out[where] = (score(ahead) - score(behind)) / (2 * step)
    return out


def grad_cam(A: Float64[np.ndarray, "*space C"], G: Float64[np.ndarray, "*space C"]) -> Float64[np.ndarray, "*space"]:
    """Grad-CAM's eq. 1 and 2, without the ReLU.

    >>> grad_cam(np.array([[1.0], [3.0]]), np.array([[2.0], [4.0]]))
    array([3., 9.])
    """
    positions = list(np.ndindex(A.shape[:-1]))
    raw = np.zeros(A.shape[:-1])
    for k in range(A.shape[-1]):
        alpha = 0.0
        for p in positions:
            alpha += G[(*p, k)] / len(positions)
        for p in positions:
            raw[p] += alpha * A[(*p, k)]
    return raw


def hirescam(A: Float64[np.ndarray, "*space C"], G: Float64[np.ndarray, "*space C"]) -> Float64[np.ndarray, "*space"]:
    """HiResCAM: gradient times activation, summed over channels.

    >>> hirescam(np.array([[1.0], [3.0]]), np.array([[2.0], [-4.0]]))
    array([  2., -12.])
    """
    raw = np.zeros(A.shape[:-1])
    for p in np.ndindex(A.shape[:-1]):
        for k in range(A.shape[-1]):
            raw[p] += G[(*p, k)] * A[(*p, k)]
    return raw


def layercam(A: Float64[np.ndarray, "*space C"], G: Float64[np.ndarray, "*space C"]) -> Float64[np.ndarray, "*space"]:
    """LayerCAM: positive gradient times activation, summed over channels.

    >>> layercam(np.array([[1.0], [3.0]]), np.array([[2.0], [-4.0]]))
    array([2., 0.])
    """
    raw = np.zeros(A.shape[:-1])
    for p in np.ndindex(A.shape[:-1]):
        for k in range(A.shape[-1]):
            raw[p] += max(G[(*p, k)], 0.0) * A[(*p, k)]
    return raw
