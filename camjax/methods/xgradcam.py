"""XGrad-CAM (Fu et al., BMVC 2020, arXiv:2008.02312)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap
from camjax.methods._weighted import sum_over_space, weighted

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class XGradCAM:
    """XGrad-CAM: gradients averaged with the activations as weights.

        w_k = sum_p (A[k, p] / sum_q A[k, q]) dS/dA[k, p]       (eq. 7)
        raw = sum_k w_k A_k

    So the map sums to sum_k,p G A, which for a head of ReLUs and matrices without biases is the score. A channel
    whose sum cancels, |sum A| <= 1e-6 sum |A|, has no such weight and gets 0.

    >>> import jax.numpy as jnp
    >>> A, G = jnp.array([[1.0, 1.0], [3.0, -1.0]]), jnp.array([[2.0, 5.0], [4.0, 6.0]])
    >>> XGradCAM()(activations=A, gradients=G).weights      # (1 * 2 + 3 * 4) / 4, and a sum of zero
    Array([3.5, 0. ], dtype=float32)
    """

    about: ClassVar[About] = About(
        "Fu et al., BMVC 2020 (arXiv:2008.02312)",
        "1 forward; 1 backward of the head",
        "channel weights as Grad-CAM's that still add up to the gradient product",
    )

    def __call__(self, *, activations: Float[Array, "*space C"], gradients: Float[Array, "*space C"]) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equations."""
        total = sum_over_space(activations)
        known = jnp.abs(total) > 1e-6 * sum_over_space(jnp.abs(activations))
        weights = sum_over_space(activations * gradients) / jnp.where(known, total, 1)
        return weighted(activations, jnp.where(known, weights, 0))
