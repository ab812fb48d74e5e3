"""Network Dissection as its paper writes it: channel by channel, concept by concept, picture by picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from camjax.testing.oracles.perturbation import bilinear

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64


def threshold(values: Float64[np.ndarray, "*n"], quantile: float) -> float:
    """T_k: the lowest of the values that no more than this share of them exceeds.

    >>> threshold(np.arange(10.0), 0.2), threshold(np.array([5.0, 0.0, 0.0, 0.0]), 0.5)
    (7.0, 0.0)
    """
    return min(float(t) for t in values.ravel() if np.mean(values > t) <= quantile)


def iou(
    A: Float64[np.ndarray, "n h w C"], masks: Bool[np.ndarray, "n concepts H W"], quantile: float
) -> Float64[np.ndarray, "C concepts"]:
    """The overlap of each channel's upsampled, thresholded activation with each concept's masks, over all pictures."""
    out = np.zeros((A.shape[-1], masks.shape[1]))
    for k in range(A.shape[-1]):
        t = threshold(A[..., k], quantile)
        for c in range(masks.shape[1]):
            both = either = 0
            for picture, mask in zip(A[..., k], masks[:, c], strict=True):
                active = bilinear(picture, mask.shape) > t
                both += int((active & mask).sum())
                either += int((active | mask).sum())
            out[k, c] = both / either if either else 0.0
    return out
