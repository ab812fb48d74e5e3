"""Oracle of LIFT-CAM: DeepLIFT's multipliers of a chain of layers, by loops over positions and channels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64

Forward = Callable[[np.ndarray], np.ndarray]
Backward = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # x, its reference, multipliers of the output
Layer = tuple[Forward, Backward]


def matrix(W: Float64[np.ndarray, "C D"], b: Float64[np.ndarray, " D"]) -> Layer:
    """y[p, j] = sum_i x[p, i] W[i, j] + b[j]: a linear layer's multipliers are its weights."""

    def backward(x: np.ndarray, x0: np.ndarray, m: np.ndarray) -> np.ndarray:
        out = np.zeros_like(x)
        for p, i, j in np.ndindex(len(x), *W.shape):
            out[p, i] += W[i, j] * m[p, j]
        return out

    return lambda x: x @ W + b, backward


def pointwise(f: Callable[[float], float]) -> Layer:
    """y = f(x): the Rescale rule, (f(x) - f(x0)) / (x - x0); nothing where both are the same."""

    def backward(x: np.ndarray, x0: np.ndarray, m: np.ndarray) -> np.ndarray:
        out = np.zeros_like(x)
        for at in np.ndindex(x.shape):
            if x[at] != x0[at]:
                out[at] = m[at] * (f(float(x[at])) - f(float(x0[at]))) / (x[at] - x0[at])
        return out

    return lambda x: np.vectorize(f)(x), backward


def layer_norm(gamma: Float64[np.ndarray, " C"], beta: Float64[np.ndarray, " C"], eps: float = 1e-5) -> Layer:
    """(x - mean) / sqrt(var + eps) * gamma + beta, over channels: Rescale for the root, means of both for products."""

    def parts(x: np.ndarray) -> tuple[np.ndarray, float, float]:
        d = x - x.mean()
        v = float((d * d).mean()) + eps
        return d, v, v**-0.5

    def backward(x: np.ndarray, x0: np.ndarray, m: np.ndarray) -> np.ndarray:
        out = np.zeros_like(x)
        for p in range(len(x)):
            (d, v, r), (d0, v0, r0) = parts(x[p]), parts(x0[p])
            of_product = m[p] * gamma
            of_d = of_product * (r + r0) / 2
            of_r = float((of_product * (d + d0) / 2).sum())
            of_v = of_r * (r - r0) / (v - v0) if v != v0 else 0.0
            of_d = of_d + of_v / x.shape[1] * (d + d0)  # the square: (d^2 - d0^2) / (d - d0)
            out[p] = of_d - of_d.mean()
        return out

    def forward(x: np.ndarray) -> np.ndarray:
        return np.stack([d * r * gamma + beta for d, _, r in map(parts, x)])

    return forward, backward


def multipliers(A: Float64[np.ndarray, "Z C"], layers: Sequence[Layer]) -> tuple[np.ndarray, float, float]:
    """The multipliers of A against zeros for the sum of all entries of the last layer; S(A) and S(0).

    >>> m, score, start = multipliers(np.array([[2.0, -1.0]]), [pointwise(lambda z: max(z + 1, 0))])
    >>> m, score - start, (m * [[2.0, -1.0]]).sum()
    (array([[1., 1.]]), 1.0, np.float64(1.0))
    """
    points, references = [A], [np.zeros_like(A)]
    for forward, _ in layers:
        points.append(forward(points[-1]))
        references.append(forward(references[-1]))
    m = np.ones_like(points[-1])
    for (_, backward), x, x0 in zip(layers[::-1], points[-2::-1], references[-2::-1], strict=True):
        m = backward(x, x0, m)
    return m, float(points[-1].sum()), float(references[-1].sum())


def lift_cam(A: Float64[np.ndarray, "Z C"], m: Float64[np.ndarray, "Z C"]) -> tuple[np.ndarray, np.ndarray]:
    """LIFT-CAM's weights and map.

    >>> lift_cam(np.array([[2.0], [1.0]]), np.array([[1.0], [3.0]]))
    (array([5.]), array([10.,  5.]))
    """
    weights, raw = np.zeros(A.shape[1]), np.zeros(len(A))
    for p, k in np.ndindex(A.shape):
        weights[k] += m[p, k] * A[p, k]
    for p, k in np.ndindex(A.shape):
        raw[p] += weights[k] * A[p, k]
    return weights, raw
