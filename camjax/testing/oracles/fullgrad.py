"""Oracle of FullGrad: residuals and gradients by finite differences, the map by loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from camjax.testing.oracles.gradient import gradient
from camjax.testing.oracles.perturbation import bilinear

if TYPE_CHECKING:
    from jaxtyping import Float64


def residual(
    f: Callable[[np.ndarray], np.ndarray], z: Float64[np.ndarray, "..."], step: float = 1e-5
) -> Float64[np.ndarray, "..."]:
    """f(z) - J z, the derivative along z by central differences.

    >>> residual(lambda z: np.clip(z, 0, 6), np.array([9.0, 7.0])).round(6)
    array([6., 6.])
    """
    return f(z) - (f(z + step * z) - f(z - step * z)) / (2 * step)


def share(
    score: Callable[[np.ndarray], float], b: Float64[np.ndarray, "..."], step: float = 1e-5
) -> Float64[np.ndarray, "..."]:
    """b * dS/db, where `score` is S as a function of what is added to the bias, entry by entry.

    >>> share(lambda nudge: float(((2.0 + nudge) * [1.0, 3.0]).sum()), np.array([2.0, 2.0])).round(6)
    array([2., 6.])
    """
    return b * gradient(score, np.zeros_like(b), step)


def full_grad(shares: Sequence[Float64[np.ndarray, "*space C"]], size: Sequence[int]) -> Float64[np.ndarray, "*size"]:
    """FullGrad's map: absolute values, min-max over channels and space together, upsampled, summed.

    >>> full_grad([np.array([[1.0, -3.0], [1.0, 1.0]])], (4,))  # |.| - 1, over 2: [[0, 1], [0, 0]]
    array([1.  , 0.75, 0.25, 0.  ])
    """
    total = np.zeros(tuple(size))
    for one in shares:
        psi = abs(one) - abs(one).min()
        if psi.max() > 0:
            psi = psi / psi.max()
        for k in range(one.shape[-1]):
            total += bilinear(psi[..., k], size)
    return total
