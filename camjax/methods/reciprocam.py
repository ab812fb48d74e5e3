"""ReciproCAM (Byun & Lee, 2022, arXiv:2209.14074)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import jax.numpy as jnp
import numpy as np

from camjax.methods._contract import About, CoarseMap
from camjax.methods._evaluate import each

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class ReciproCAM:
    """ReciproCAM: what the head scores when it is shown the feature maps of one position alone.

        raw_p = S(A 1_p) - S(0)

    with 1_p one at position p and zero elsewhere. Only the head is evaluated, and nothing is differentiated. It has no
    channel weights.

    Args:
        gaussian: show the neighbours as well, weighted (1, 2, 1) x (1, 2, 1) / 16 about p.

    >>> import jax.numpy as jnp
    >>> A = jnp.array([[1.0, 2.0], [3.0, 0.0]])
    >>> ReciproCAM()(activations=A, head=lambda A: A.sum() + 5, chunk=8).raw
    Array([3., 3.], dtype=float32)
    """

    gaussian: bool = False

    about: ClassVar[About] = About(
        "Byun & Lee, 2022 (arXiv:2209.14074)",
        "1 forward; Z + 1 forward of the head",
        "no gradients, and a price that depends on the map's size and not on the channels",
    )

    def __call__(self, *, activations: Float[Array, "*space C"], head: Callable[[Any], Any], chunk: int) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equation."""
        space = activations.shape[:-1]
        near = [_tridiagonal(n) if self.gaussian else np.eye(n) for n in space]
        # [Z, Z]: for each position, how much of every other is shown with it.
        shown = jnp.asarray(functools.reduce(np.kron, near), activations.dtype)
        flat = activations.reshape(-1, activations.shape[-1])

        def alone(position: Any) -> Any:
            mask = jnp.broadcast_to(shown[position][:, None], flat.shape)
            return head((flat * mask).reshape(activations.shape))

        scores = each(alone, len(flat), chunk)
        return CoarseMap((scores - head(jnp.zeros_like(activations))).reshape(space))


def _tridiagonal(n: int) -> np.ndarray:
    return (2 * np.eye(n) + np.eye(n, k=1) + np.eye(n, k=-1)) / 4
