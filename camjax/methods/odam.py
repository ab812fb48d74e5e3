"""ODAM (Zhao & Chan, ICLR 2023, arXiv:2304.06354)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from camjax.methods._contract import About, CoarseMap

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class ODAM:
    """ODAM: the map of one predicted attribute of one detected object, its class score or a coordinate of its box.

        raw = sum_k dY/dA_k * A_k

    Gradients are weighed position by position, since a detector reads each object from another place: the equation is
    HiResCAM's, without the paper's optional smoothing of the gradients. Each attribute of each box is a target of its
    own; `camjax.targets` has those of detectors, and K of them share one forward pass.

    >>> import jax.numpy as jnp
    >>> A, G = jnp.array([[1.0], [3.0]]), jnp.array([[2.0], [0.0]])
    >>> ODAM()(activations=A, gradients=G).raw
    Array([2., 0.], dtype=float32)
    """

    about: ClassVar[About] = About(
        "Zhao & Chan, ICLR 2023 (arXiv:2304.06354)",
        "1 forward; 1 backward of the head per attribute of a box",
        "detectors: one map for each object found",
    )

    def __call__(self, *, activations: Float[Array, "*space C"], gradients: Float[Array, "*space C"]) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equation."""
        terms = activations * gradients
        return CoarseMap(terms.sum(-1), terms=terms)
