"""LIFT-CAM (Jung and Oh, ICCV 2021, arXiv:2102.05228)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap
from camjax.methods._weighted import weighted

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class LiftCAM:
    """LIFT-CAM: channels weighted by their DeepLIFT contributions to the score.

        w_k = sum_p m[k, p] * A[k, p]        with sum_k w_k = S(A) - S(0)
        raw = sum_k w_k A_k

    m are the multipliers of the head against maps of zeros: an approximation, in one pass, of the Shapley values of the
    channels. Entry by entry, a nonlinearity f has the multiplier (f(z) - f(z0)) / (z - z0), the Rescale rule; products,
    maxima and all else have a symmetric rule each, which `camjax.trace._lift_rules` states. All keep the sum, so that
    the weights add up exactly to what the feature maps add to the score.

    Shapes: weights `[C]`, raw `[*space]`. Cost: the head twice forward, and one backward pass of it per target.
    A `jax.lax.scan` in the head is one equation, whose multipliers are a corrected mean gradient: name a later layer to
    be exact.

    For contributions that saturated units do not hide, at the price of one gradient. For a head that averages over
    space and has one matrix, w_k = W_k mean A_k, which is also by how much the score falls without channel k. It is
    linear and odd in the score; as its weights contain A, a channel's scale counts twice.

    Raises ValueError for a while loop in the head, and for a head that is not finite for maps of zeros.

    >>> import camjax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: jnp.maximum(x.mean((1, 2)) @ w - 1, 0), jnp.array([[2.0], [1.0]]))
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: jnp.maximum(A.mean((1, 2)) @ w - 1, 0))
    >>> x = jnp.zeros((1, 2, 2, 2)).at[0, 0, 0, 0].set(4.0).at[0, 1, 1, 1].set(8.0)
    >>> explanation = camjax.explain(model, x, 0, layer=split, method=camjax.methods.LiftCAM())
    >>> explanation.weights, explanation.score  # the means 1 and 2 give 4 - 1 = 3, of which the ReLU's rule passes 3/4
    (Array([[1.5, 1.5]], dtype=float32), Array([3.], dtype=float32))
    """

    about: ClassVar[About] = About(
        "Jung and Oh, ICCV 2021 (arXiv:2102.05228)",
        "1 forward pass, 2 of the head, 1 backward pass of the head per target",
        "contributions that add up to the score, for heads that saturate",
    )
    refusal: ClassVar[str] = (
        "its multipliers against maps of zeros are not finite: the head divides by zero, or takes the root or "
        "logarithm of nothing, for maps that are zero. Name a layer behind that, or choose a method "
        "without a reference, such as camjax.GradCAM()."
    )

    def __call__(self, *, activations: Float[Array, "*space C"], lift: Float[Array, "*space C"]) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equations."""
        flag = ~jnp.all(jnp.isfinite(lift))
        multipliers = jnp.where(flag, jnp.zeros_like(lift), lift)
        weights = (multipliers * activations).sum(tuple(range(activations.ndim - 1)))
        return weighted(activations, weights)._replace(flag=flag)
