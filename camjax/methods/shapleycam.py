"""ShapleyCAM (Cai, 2025, arXiv:2501.06261)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap
from camjax.methods._weighted import sum_over_space, weighted

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class ShapleyCAM:
    """ShapleyCAM: Grad-CAM with the head's curvature taken into account.

        w_k = mean_p (G - (H A) / 2)[k, p],        raw = sum_k w_k A_k

    with G the gradient and H the Hessian of the score, as the Shapley values of its second-order expansion come out.
    H A is one derivative of the gradient along A. For logits of a network of ReLUs H is zero and this is Grad-CAM;
    the paper therefore explains the ReST utility y_c + log p_c instead, with the residual softmax that gives its
    name.

    Args:
        rest: explain y_c + log softmax(y)_c in the place of a class's logit. Other targets are left as they are.
        elementwise: raw = sum_k (G - (H A) / 2) A_k, position by position, without channel weights.

    >>> import jax.numpy as jnp
    >>> A = jnp.array([[1.0], [3.0]])
    >>> head = lambda A: (A**2).sum() / 2                   # G = A, H A = A
    >>> ShapleyCAM()(activations=A, gradients=A, head=head).weights
    Array([1.], dtype=float32)
    """

    rest: bool = True
    elementwise: bool = False

    about: ClassVar[About] = About(
        "Cai, 2025 (arXiv:2501.06261)",
        "1 forward; 1 backward of the head, and one Hessian-vector product of it",
        "heads with curvature (attention, GELU), and classes told from their rivals",
    )

    def retarget(self, target: Any) -> Any:
        """With `rest`, the ReST utility of a class; a target that is about no class stays."""
        from camjax import targets

        of_class = not callable(target) or isinstance(target, targets.Logit | targets.Top)
        return targets.rest(target) if self.rest and of_class else target

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        gradients: Float[Array, "*space C"],
        head: Callable[[Float[Array, "*space C"]], Float[Array, ""]],
    ) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equations."""
        curvature = jax.jvp(jax.grad(head), (activations,), (activations,))[1]
        effective = gradients - curvature / 2
        if self.elementwise:
            terms = effective * activations
            return CoarseMap(terms.sum(-1), terms=terms)
        positions = effective.size // effective.shape[-1]
        return weighted(activations, sum_over_space(effective) / jnp.asarray(positions, effective.dtype))
