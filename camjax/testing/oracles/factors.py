"""The oracle of Deep Feature Factorisation: its start by NumPy's SVD, its updates entry by entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64

    Matrix = Float64[np.ndarray, "rows columns"]


def nndsvd(V: Matrix, k: int) -> tuple[Matrix, Matrix]:
    """Non-negative double SVD (Boutsidis & Gallopoulos, 2008), every zero replaced by the mean of V.

    >>> nndsvd(np.array([[2.0, 2.0], [2.0, 2.0]]), 1)[0].round(6)
    array([[1.414214],
           [1.414214]])
    """
    U, s, Vt = np.linalg.svd(V, full_matrices=False)
    H, W = np.zeros((len(V), k)), np.zeros((k, V.shape[1]))
    H[:, 0], W[0] = np.sqrt(s[0]) * np.abs(U[:, 0]), np.sqrt(s[0]) * np.abs(Vt[0])
    for j in range(1, k):
        best = 0.0
        for sign in (1, -1):
            u, v = np.maximum(sign * U[:, j], 0), np.maximum(sign * Vt[j], 0)
            length = np.linalg.norm(u) * np.linalg.norm(v)
            if length > best:
                best = length
                H[:, j] = np.sqrt(s[j] * length) * u / np.linalg.norm(u)
                W[j] = np.sqrt(s[j] * length) * v / np.linalg.norm(v)
    H[H == 0] = W[W == 0] = V.mean()
    return H, W


def factors(V: Matrix, k: int, iterations: int) -> tuple[Matrix, Matrix, Float64[np.ndarray, " n"]]:
    """H with columns of maximum 1, W, and ||V - H W|| / ||V|| from the start on; Lee & Seung's updates.

    >>> H, W, errors = factors(np.array([[2.0, 2.0], [1.0, 1.0]]), 1, 3)
    >>> H.round(6), W.round(6)
    (array([[1. ],
           [0.5]]), array([[2., 2.]]))
    """
    mean = V.mean()
    V = V / mean
    H, W = nndsvd(V, k)
    errors = [np.linalg.norm(V - H @ W)]
    for _ in range(iterations):
        above, below = H.T @ V, H.T @ H @ W
        for at in np.ndindex(W.shape):
            W[at] *= above[at] / below[at]
        above, below = V @ W.T, H @ W @ W.T
        for at in np.ndindex(H.shape):
            H[at] *= above[at] / below[at]
        errors.append(np.linalg.norm(V - H @ W))
    top = H.max(0)
    H, W = H / top, W * top[:, None] * mean
    order = sorted(range(k), key=lambda j: -H[:, j].sum() * W[j].sum())
    return H[:, order], W[order], np.array(errors) / np.linalg.norm(V)
