"""Oracles of the attributions in input space: a small network by loops, with its papers' backward rules."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64


class Layer(NamedTuple):
    """`z = a W + b`, then `min(max(z, 0), cap)`, or nothing where `cap` is None."""

    W: Float64[np.ndarray, "i o"]
    b: Float64[np.ndarray, " o"]
    cap: float | None = math.inf


def backward(
    x: Float64[np.ndarray, " i"], layers: Sequence[Layer], output: int, rule: str = "gradient"
) -> Float64[np.ndarray, " i"]:
    """What is passed back from one output to the input: "gradient", "guided" or "deconvnet".

    Springenberg et al., figure 1c: at a ReLU the gradient is kept where the forward pass was positive, DeconvNet's
    signal where it is positive itself, that of Guided Backpropagation where both are.

    >>> one = Layer(np.array([[1.0], [-1.0]]), np.zeros(1))
    >>> backward(np.array([3.0, 1.0]), [one], 0), backward(np.array([1.0, 3.0]), [one], 0, "deconvnet")
    (array([ 1., -1.]), array([ 1., -1.]))
    """
    a, inputs = x, []
    for layer in layers:
        z = np.zeros(layer.W.shape[1])
        for o in range(layer.W.shape[1]):
            z[o] = layer.b[o] + sum(a[i] * layer.W[i, o] for i in range(layer.W.shape[0]))
        inputs.append(z)
        a = z if layer.cap is None else np.array([min(max(v, 0.0), layer.cap) for v in z])
    R = np.zeros(len(a))
    R[output] = 1.0
    for layer, z in zip(reversed(layers), reversed(inputs), strict=True):
        if layer.cap is not None:
            for o in range(len(R)):
                switched_on = 0 < z[o] < layer.cap
                if rule in ("gradient", "guided") and not switched_on:
                    R[o] = 0.0
                if rule in ("guided", "deconvnet") and R[o] < 0:
                    R[o] = 0.0
        below = np.zeros(layer.W.shape[0])
        for i in range(len(below)):
            for o in range(len(R)):
                below[i] += layer.W[i, o] * R[o]
        R = below
    return R


def smoothgrad(
    gradient: Callable[[np.ndarray], np.ndarray], points: Sequence[Float64[np.ndarray, "..."]]
) -> Float64[np.ndarray, "..."]:
    """The mean gradient over noisy points.

    >>> smoothgrad(lambda x: 2 * x, [np.array([1.0]), np.array([3.0])])
    array([4.])
    """
    total = np.zeros_like(points[0])
    for point in points:
        total = total + gradient(point)
    return total / len(points)


def vargrad(
    gradient: Callable[[np.ndarray], np.ndarray], points: Sequence[Float64[np.ndarray, "..."]]
) -> Float64[np.ndarray, "..."]:
    """The variance of the gradient over noisy points.

    >>> vargrad(lambda x: 2 * x, [np.array([1.0]), np.array([3.0])])
    array([4.])
    """
    mean = smoothgrad(gradient, points)
    total = np.zeros_like(mean)
    for point in points:
        total = total + (gradient(point) - mean) ** 2
    return total / len(points)


def integrated_gradients(
    gradient: Callable[[np.ndarray], np.ndarray],
    x: Float64[np.ndarray, "..."],
    baseline: Float64[np.ndarray, "..."],
    steps: int,
) -> Float64[np.ndarray, "..."]:
    """Sundararajan et al., eq. 3, with the gradient at the middle of each step.

    >>> integrated_gradients(lambda x: 2 * x, np.array([3.0]), np.array([1.0]), 4)
    array([8.])
    """
    total = np.zeros_like(x)
    for k in range(1, steps + 1):
        total = total + gradient(baseline + (k - 0.5) / steps * (x - baseline)) / steps
    return (x - baseline) * total
