"""HiResCAM (Draelos and Carin, 2020, arXiv:2011.08891)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class HiResCAM:
    """HiResCAM: gradient times activation, position by position.

        raw = sum_k dS/dA_k * A_k

    Cost: one forward pass, and one backward pass of the head per target.

    To choose where a map must not show what the score did not read: a position whose feature maps the score
    does not depend on gets exactly zero. For a head that is an average over space and a matrix it equals
    Grad-CAM; for a head of ReLUs and matrices without biases the map sums to the score. It has no channel weights.

    >>> import camjax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: x[:, 0, 0] @ w, jnp.array([[2.0], [-1.0]]))
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A[:, 0, 0] @ w)
    >>> camjax.explain(model, jnp.ones((1, 2, 2, 2)), 0, layer=split, method=camjax.HiResCAM()).raw[0]
    Array([[1., 0.],
           [0., 0.]], dtype=float32)
    """

    about: ClassVar[About] = About(
        "Draelos & Carin, 2020 (arXiv:2011.08891)",
        "1 forward; 1 backward of the head",
        "maps that must not show what the score did not read",
    )

    def __call__(self, *, activations: Float[Array, "*space C"], gradients: Float[Array, "*space C"]) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equation."""
        raw = jnp.vecdot(activations, gradients, precision="highest")
        return CoarseMap(raw, terms=activations * gradients)
