"""Grad-CAM++ (Chattopadhay et al., WACV 2018, arXiv:1710.11063)."""

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

ALPHAS = ("simplified", "normalised", "exact")


@dataclasses.dataclass(frozen=True)
class GradCAMPlusPlus:
    """Grad-CAM++: a channel's weight is a weighted sum of its positive gradients.

        w_k = sum_p alpha[k, p] relu(dY/dA[k, p]),        raw = sum_k w_k A_k
        alpha = D2 / (2 D2 + a_k D3),  a_k = sum_p A[k, p]

    with D2, D3 the second and third derivatives of Y = exp(S) along A[k, p] alone, and w up to the factor exp(S).

    Args:
        alpha: how the derivatives are had.
            "simplified": G^2 and G^3, as for a head without curvature (a network of ReLUs). Then
            alpha relu(G) = R / (2 + a_k R) with R = relu(G): no powers, and no epsilon.
            "normalised": as the authors' code has it, each channel's alphas divided by their sum where G > 0.
            "exact": D2 = G^2 + S'' and D3 = G^3 + 3 G S'' + S''', from third derivatives of the head along every
            entry of A.

    The derivation takes a_k for positive, as it is behind a ReLU; where a_k < 0, it counts as 0.

    Raises:
        ValueError: when `alpha` is none of these.

    >>> import jax.numpy as jnp
    >>> A, G = jnp.array([[1.0], [3.0]]), jnp.array([[2.0], [-1.0]])
    >>> GradCAMPlusPlus()(activations=A, gradients=G, head=jnp.sum, chunk=1).weights      # 2 / (2 + 4 * 2)
    Array([0.2], dtype=float32)
    """

    alpha: str = "simplified"

    about: ClassVar[About] = About(
        "Chattopadhay et al., WACV 2018 (arXiv:1710.11063)",
        "1 forward; 1 backward of the head (alpha='exact': + C Z third derivatives of it)",
        "several objects of the class in one picture, each to be covered",
    )

    def __post_init__(self) -> None:
        if self.alpha not in ALPHAS:
            raise ValueError(f"GradCAMPlusPlus: alpha={self.alpha!r}, expected one of {', '.join(map(repr, ALPHAS))}.")

    @property
    def needs(self) -> tuple[str, ...]:
        """The head only where it is differentiated further."""
        return ("activations", "gradients", *(("head", "chunk") if self.alpha == "exact" else ()))

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        gradients: Float[Array, "*space C"],
        head: Callable[[Float[Array, "*space C"]], Float[Array, ""]] | None = None,
        chunk: int = 128,
    ) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equations."""
        positive = jax.nn.relu(gradients)
        a = jnp.broadcast_to(jax.nn.relu(sum_over_space(activations)), activations.shape)
        if self.alpha == "exact" and head is not None:
            second, third = _derivatives(head, activations, chunk)
            d2 = gradients**2 + second
            d3 = gradients**3 + 3 * gradients * second + third
            return weighted(activations, sum_over_space(ratio(d2, 2 * d2, a * d3) * positive))
        weights = positive / (2 + a * positive)
        if self.alpha == "normalised":
            alpha = 1 / (2 + a * positive)  # where G > 0, the only place where it counts
            total = jnp.broadcast_to(sum_over_space(jnp.where(gradients > 0, alpha, 0)), alpha.shape)
            weights = jnp.where(gradients > 0, weights / jnp.where(total > 0, total, 1), 0)
        return weighted(activations, sum_over_space(weights))


def ratio(above: Array, *below: Array) -> Array:
    """above / sum(below); zero where the terms of the sum cancel to within rounding, or are all zero."""
    total = sum(below[1:], below[0])
    size = sum((jnp.abs(term) for term in below[1:]), jnp.abs(below[0]))
    safe = jnp.abs(total) > 8 * jnp.finfo(total.dtype).eps * size
    return jnp.where(safe, above / jnp.where(safe, total, 1), 0)


def _derivatives(head: Callable[[Array], Array], A: Array, chunk: int) -> tuple[Array, Array]:
    # The second and third derivative of the head along each entry of A alone.
    def along(index: Array) -> tuple[Array, Array]:
        step = (jnp.arange(A.size) == index).astype(A.dtype).reshape(A.shape)

        def line(t: Array) -> Array:
            return head(A + t * step)

        zero = jnp.zeros((), A.dtype)
        return jax.jacfwd(jax.jacfwd(line))(zero), jax.jacfwd(jax.jacfwd(jax.jacfwd(line)))(zero)

    second, third = jax.lax.map(along, jnp.arange(A.size), batch_size=min(chunk, A.size))
    return second.reshape(A.shape), third.reshape(A.shape)
