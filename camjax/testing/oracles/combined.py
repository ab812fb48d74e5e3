"""Oracles of the methods that combine classes, or the maps of layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from camjax.testing.oracles.perturbation import bilinear

if TYPE_CHECKING:
    from jaxtyping import Float64

    Maps = Float64[np.ndarray, "h w C"]
    Raw = Float64[np.ndarray, "h w"]


def finer_cam(
    A: Maps,
    logits: Float64[np.ndarray, " classes"],
    G: Float64[np.ndarray, "classes h w C"],
    c: int,
    alpha: float,
    classes: int,
    of: Callable[[Maps, Maps], Raw],
) -> Raw:
    """Finer-CAM: a map of y_c less alpha times the mean of the logits nearest to it; G has each logit's gradient."""
    others = sorted((d for d in range(len(logits)) if d != c), key=lambda d: abs(logits[d] - logits[c]))
    return of(A, G[c] - alpha * np.mean([G[d] for d in others[:classes]], axis=0))


def refine_cam(maps: Sequence[Raw]) -> Raw:
    """RefineCAM: prod_l U(relu(M_l) / max M_l), at the resolution of the largest map."""
    size = np.max([M.shape for M in maps], axis=0)
    product = np.ones(size)
    for M in maps:
        M = np.maximum(M, 0)
        product *= bilinear(M / M.max() if M.max() > 0 else M, size)
    return product
