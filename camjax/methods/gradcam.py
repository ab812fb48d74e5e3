"""Grad-CAM (Selvaraju et al., ICCV 2017, arXiv:1610.02391)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from camjax.methods._contract import About, CoarseMap
from camjax.methods._weighted import weighted

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class GradCAM:
    """Grad-CAM: channels weighted by their average gradient.

        w_k = 1/Z sum_p dS/dA[k, p]       (eq. 1)
        raw = sum_k w_k A_k               (eq. 2, before its ReLU)

    Cost: one forward pass, and one backward pass of the head per target.

    The default: the most used, and the best understood. It is linear in the score, and unmoved by any
    invertible mix of the channels that the head undoes. It does **not** say which positions the score was
    computed from: where the head weighs positions differently, an average weight brightens positions that
    the score never read. `HiResCAM` does not.

    >>> import camjax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)) @ w, jnp.array([[2.0], [-1.0]]))
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)) @ w)
    >>> x = jnp.zeros((1, 2, 2, 2)).at[0, 0, 0, 0].set(4.0).at[0, 1, 1, 1].set(4.0)
    >>> explanation = camjax.explain(model, x, 0, layer=split, method=camjax.GradCAM())
    >>> explanation.weights
    Array([[ 0.5 , -0.25]], dtype=float32)
    >>> explanation.raw[0]
    Array([[ 2.,  0.],
           [ 0., -1.]], dtype=float32)
    """

    about: ClassVar[About] = About(
        "Selvaraju et al., ICCV 2017 (arXiv:1610.02391)",
        "1 forward; 1 backward of the head",
        "the default: the most used, and the best understood",
    )

    def __call__(self, *, activations: Float[Array, "*space C"], gradients: Float[Array, "*space C"]) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equations."""
        space = tuple(range(gradients.ndim - 1))
        return weighted(activations, gradients.mean(space))  # eq. 2 of eq. 1
