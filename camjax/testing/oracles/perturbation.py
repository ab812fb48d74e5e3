"""Oracles of the methods that evaluate the model or the head: one evaluation after the other.

`score` is a function from an input, or from feature maps, to a number; pictures are `[height, width, colours]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from camjax.testing.oracles.weights import weighted

if TYPE_CHECKING:
    from jaxtyping import Float64

    Maps = Float64[np.ndarray, "h w C"]
    Raw = Float64[np.ndarray, "h w"]

Score = Callable[[Any], float]


def bilinear(raw: Float64[np.ndarray, "*space"], size: Sequence[int]) -> Float64[np.ndarray, "*size"]:
    """Linear upsampling along each axis with half-pixel centres, pixel by pixel.

    >>> bilinear(np.array([[0.0, 1.0]]), (1, 4))
    array([[0.  , 0.25, 0.75, 1.  ]])
    """
    out = np.zeros(tuple(size))
    for p in np.ndindex(*size):
        at = [(q + 0.5) * n / m - 0.5 for q, n, m in zip(p, raw.shape, size, strict=True)]
        for corner in np.ndindex(*[2] * raw.ndim):
            share, where = 1.0, []
            for a, c, n in zip(at, corner, raw.shape, strict=True):
                low = int(np.floor(a))
                share *= (a - low) if c else 1 - (a - low)
                where.append(min(max(low + c, 0), n - 1))
            out[p] += share * raw[tuple(where)]
    return out


def scaled(raw: Raw) -> Raw:
    """s(): to 0..1; a constant map becomes zero."""
    low, high = raw.min(), raw.max()
    return (raw - low) / (high - low) if high > low else np.zeros_like(raw)


def channel_masks(A: Maps, size: Sequence[int]) -> list[Float64[np.ndarray, "H W"]]:
    """H_k = s(U(A_k)) for each channel."""
    return [scaled(bilinear(A[..., k], size)) for k in range(A.shape[-1])]


def softmax(scores: Sequence[float], counted: Sequence[bool]) -> Float64[np.ndarray, " C"]:
    """The softmax over those that count."""
    total = sum(np.exp(s) for s, c in zip(scores, counted, strict=True) if c)
    return np.array([np.exp(s) / total if c else 0.0 for s, c in zip(scores, counted, strict=True)])


def score_cam(A: Maps, x: np.ndarray, score: Score, *, weights: str = "softmax") -> Raw:
    """Score-CAM's eq. 7 to 9, and its two variants."""
    varies = [bool(np.ptp(A[..., k]) > 0) for k in range(A.shape[-1])]
    scores = [score(x * mask[..., None]) for mask in channel_masks(A, x.shape[:2])]
    if weights == "softmax":
        return weighted(A, softmax(scores, varies))
    base = score(0 * x) if weights == "increase" else 0.0
    return weighted(A, np.array([s - base if c else 0.0 for s, c in zip(scores, varies, strict=True)]))


def iscam(A: Maps, x: np.ndarray, score: Score, samples: int) -> Raw:
    """IS-CAM: the masked input faded in."""
    varies = [bool(np.ptp(A[..., k]) > 0) for k in range(A.shape[-1])]
    scores = []
    for mask in channel_masks(A, x.shape[:2]):
        scores.append(np.mean([score(i / samples * x * mask[..., None]) for i in range(1, samples + 1)]))
    return weighted(A, softmax(scores, varies))


def blurred(x: np.ndarray, length: int, deviation: float) -> np.ndarray:
    """A Gaussian blur along both axes, the picture mirrored at its ends (the edge itself not repeated)."""
    reach = length // 2
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    taps /= taps.sum()
    for axis in (0, 1):
        widths = [(0, 0)] * x.ndim
        widths[axis] = (reach, reach)
        padded = np.pad(x, widths, mode="reflect" if x.shape[axis] > 1 else "edge")
        parts = [tap * np.take(padded, np.arange(x.shape[axis]) + i, axis) for i, tap in enumerate(taps)]
        x = np.sum(parts, axis=0)
    return x


def group_cam(A: Maps, G: Maps, x: np.ndarray, score: Score, groups: int, blur: tuple[int, float]) -> Raw:
    """Group-CAM: groups of weighted channels, each by its gain over the blurred input."""
    blank = blurred(x, *blur)
    raw = np.zeros(A.shape[:2])
    for part in np.array_split(np.arange(A.shape[-1]), min(groups, A.shape[-1])):
        M = np.zeros(A.shape[:2])
        for k in part:
            M += G[..., k].mean() * A[..., k]
        M = np.maximum(M, 0)
        mask = scaled(bilinear(M, x.shape[:2]))[..., None]
        if np.ptp(M) > 0:
            raw += max(score(x * mask + blank * (1 - mask)) - score(blank), 0.0) * M
    return raw


def ablation_cam(A: Maps, score: Score, *, divide: bool = True) -> Raw:
    """Ablation-CAM: the fall of the score without each channel, relative to its size."""
    whole = score(A)
    w = np.zeros(A.shape[-1])
    for k in range(A.shape[-1]):
        without = A.copy()
        without[..., k] = 0
        w[k] = (whole - score(without)) / (abs(whole) if divide else 1)
    return weighted(A, w)


def reciprocam(A: Maps, score: Score, *, gaussian: bool = False) -> Raw:
    """ReciproCAM: the score of each position alone, above that of none."""
    raw = np.zeros(A.shape[:2])
    for p in np.ndindex(A.shape[:2]):
        mask = np.zeros(A.shape[:2])
        for shift in np.ndindex(3, 3) if gaussian else [(1, 1)]:
            q = (p[0] + shift[0] - 1, p[1] + shift[1] - 1)
            if 0 <= q[0] < A.shape[0] and 0 <= q[1] < A.shape[1]:
                mask[q] = (1, 2, 1)[shift[0]] * (1, 2, 1)[shift[1]] / 16 if gaussian else 1
        raw[p] = score(A * mask[..., None]) - score(0 * A)
    return raw


def occlusion(x: np.ndarray, score: Score, patch: int, stride: int, fill: float) -> Float64[np.ndarray, "H W"]:
    """Occlusion: the mean fall of the score over the patches that cover each pixel."""
    total, times = np.zeros(x.shape[:2]), np.zeros(x.shape[:2])
    starts = [[*range(0, max(n - patch, 0), stride), max(n - patch, 0)] for n in x.shape[:2]]
    for top in starts[0]:
        for left in starts[1]:
            covered = x.copy()
            covered[top : top + patch, left : left + patch] = fill
            total[top : top + patch, left : left + patch] += score(x) - score(covered)
            times[top : top + patch, left : left + patch] += 1
    return total / np.maximum(times, 1)
