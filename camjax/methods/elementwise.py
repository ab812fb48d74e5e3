"""Element-wise Grad-CAM, as pytorch-grad-cam has it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import jax

from camjax.methods._contract import About, CoarseMap

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class ElementwiseGradCAM:
    """Element-wise Grad-CAM: gradient times activation, positive parts only, summed over channels.

        raw = sum_k relu(dS/dA_k * A_k)

    Where the feature maps come out of a ReLU it equals LayerCAM; elsewhere it also counts negative activations
    that the score is raised by. It has no channel weights.

    >>> import jax.numpy as jnp
    >>> A, G = jnp.array([[1.0, -3.0]]), jnp.array([[-2.0, -1.0]])
    >>> ElementwiseGradCAM()(activations=A, gradients=G).raw
    Array([3.], dtype=float32)
    """

    about: ClassVar[About] = About(
        "pytorch-grad-cam (GradCAMElementWise)",
        "1 forward; 1 backward of the head",
        "evidence position by position, at layers without a ReLU of their own",
    )

    def __call__(self, *, activations: Float[Array, "*space C"], gradients: Float[Array, "*space C"]) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equation."""
        terms = jax.nn.relu(activations * gradients)
        return CoarseMap(terms.sum(-1), terms=terms)
