"""Layer integrated gradients: the axiomatic path method (Sundararajan et al., ICML 2017), at a layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import jax
import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class LayerIntegratedGradients:
    """Integrated gradients of the feature maps, or integrated HiResCAM: gradients averaged on the way from zero.

        raw = sum_k A_k * 1/n sum_i dS/dA_k (A (i - 1/2) / n)

    For n to infinity the map sums to S(A) - S(0) (completeness, arXiv:1703.01365, proposition 1). Only the head is
    evaluated. Where the head is linear it is HiResCAM.

    Args:
        steps: n, the number of midpoints.

    Raises:
        ValueError: when `steps` is not a positive int.

    >>> import jax.numpy as jnp
    >>> A = jnp.array([[1.0], [3.0]])
    >>> method = LayerIntegratedGradients()
    >>> method(activations=A, head=lambda A: (A**2).sum(), chunk=8).raw       # sums to S(A) - S(0) = 10
    Array([1., 9.], dtype=float32)
    """

    steps: int = 32

    about: ClassVar[About] = About(
        "Sundararajan et al., ICML 2017 (arXiv:1703.01365), at a layer",
        "1 forward; n backward of the head, n = 32",
        "maps that add up to the score, for heads that saturate",
    )

    def __post_init__(self) -> None:
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"LayerIntegratedGradients: steps={self.steps!r}, expected a positive int.")

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        head: Callable[[Float[Array, "*space C"]], Float[Array, ""]],
        chunk: int,
    ) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equation."""
        midpoints = (jnp.arange(self.steps, dtype=activations.dtype) + 0.5) / self.steps
        size = min(chunk, self.steps)
        gradients = jax.lax.map(lambda t: jax.grad(head)(t * activations), midpoints, batch_size=size)
        terms = activations * gradients.mean(0)
        return CoarseMap(terms.sum(-1), terms=terms)
