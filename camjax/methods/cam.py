"""CAM (Zhou et al., CVPR 2016, arXiv:1512.04150)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import jax
import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap
from camjax.methods._weighted import sum_over_space, weighted

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class CAM:
    """CAM: the class's own weights in a linear classifier behind an average over space.

        raw = sum_k w^c_k A_k       (eq. 2)

    w^c_k is read off the head's gradient, which for S = sum_k w^c_k mean_p A_k + b is w^c_k / Z everywhere. So the
    map is Z times Grad-CAM's.

    Only for heads that are an average over space and a matrix: anything else, whose gradient differs between
    positions or between feature maps, is refused (`Status.NOT_APPLICABLE`).

    >>> import jax.numpy as jnp
    >>> A = jnp.array([[1.0], [3.0]])
    >>> CAM()(activations=A, gradients=jnp.full((2, 1), 0.5), head=lambda A: A.mean()).raw
    Array([1., 3.], dtype=float32)
    """

    about: ClassVar[About] = About(
        "Zhou et al., CVPR 2016 (arXiv:1512.04150)",
        "1 forward; 3 backward of the head",
        "networks that end in an average and one matrix: the plainest map there is",
    )
    refusal: ClassVar[str] = (
        "CAM needs a head that is an average over space and a linear classifier, directly on the layer; this head's "
        "gradient differs between positions or feature maps. Take camjax.GradCAM(), which equals it (up to a factor) "
        "where it is defined."
    )

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        gradients: Float[Array, "*space C"],
        head: Callable[[Float[Array, "*space C"]], Float[Array, ""]],
    ) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equation."""
        weights = sum_over_space(gradients)
        mean = jnp.broadcast_to(weights / (gradients.size // weights.size), gradients.shape)
        # A linear head with average pooling has this same gradient at every position, and wherever A is.
        elsewhere = [jax.grad(head)(at) for at in (jnp.zeros_like(activations), -activations)]
        off = jnp.max(jnp.stack([jnp.abs(g - mean).max() for g in (gradients, *elsewhere)]))
        tolerance = jnp.sqrt(jnp.finfo(gradients.dtype).eps).astype(gradients.dtype)
        return weighted(activations, weights)._replace(flag=off > tolerance * jnp.abs(gradients).max())
