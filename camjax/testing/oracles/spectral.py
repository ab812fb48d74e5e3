"""Oracles of the spectral and statistical methods, by NumPy's own decompositions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64

    Maps = Float64[np.ndarray, "*space C"]
    Raw = Float64[np.ndarray, "*space"]


def eigencam(A: Maps, *, center: bool = False) -> Raw:
    """Eigen-CAM: the feature maps on their first right singular vector, with the sign of their sum.

    >>> eigencam(np.array([[3.0, 4.0], [6.0, 8.0]])).round(6)
    array([ 5., 10.])
    """
    X = A.reshape(-1, A.shape[-1])
    shown = X - X.mean(0) if center else X
    raw = shown @ np.linalg.svd(shown, full_matrices=False)[2][0]
    return (raw * (-1 if raw @ X.sum(1) < 0 else 1)).reshape(A.shape[:-1])


def principal(terms: Maps) -> Raw:
    """The first principal component of channels' shares, with the sign of their sum."""
    X = terms.reshape(-1, terms.shape[-1])
    centred = X - X.mean(0)
    raw = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    return (raw * (-1 if raw @ X.sum(1) < 0 else 1)).reshape(terms.shape[:-1])


def eigengradcam(A: Maps, G: Maps) -> Raw:
    """EigenGrad-CAM: the first principal component of gradient times activation."""
    return principal(G * A)


def kpcacam(A: Maps) -> Raw:
    """KPCA-CAM: the first component of the double-centred tanh kernel; its largest entry positive."""
    X = A.reshape(-1, A.shape[-1])
    X = X - X.mean(0)
    n = len(X)
    K = np.array([[np.tanh(x @ y / X.shape[1] + 1) for y in X] for x in X])
    one = np.full((n, n), 1 / n)
    K = K - one @ K - K @ one + one @ K @ one
    values, vectors = np.linalg.eigh(K)
    raw = np.sqrt(max(values[-1], 0)) * vectors[:, -1]
    return (raw * (-1 if raw[np.abs(raw).argmax()] < 0 else 1)).reshape(A.shape[:-1])


def fem(A: Maps, t: float = 2.0) -> Raw:
    """FEM: the mean of each channel, wherever the channel is t deviations above it."""
    raw = np.zeros(A.shape[:-1])
    for k in range(A.shape[-1]):
        mean, deviation = A[..., k].mean(), A[..., k].std()
        for p in np.ndindex(A.shape[:-1]):
            if deviation > 0 and A[(*p, k)] >= mean + t * deviation:
                raw[p] += mean
    return raw
