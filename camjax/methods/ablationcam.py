"""Ablation-CAM (Ramaswamy et al., WACV 2020)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap
from camjax.methods._evaluate import affine, each
from camjax.methods._weighted import weighted

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class AblationCAM:
    """Ablation-CAM: channels weighted by how much the score falls when they are set to zero.

        w_k = (S - S_k) / |S|,        raw = sum_k w_k A_k

    with S_k the score without channel k. Only the head is evaluated; where the score is affine in A, as behind global
    average pooling and one dense layer, S - S_k = sum_q (dS/dA_qk) A_qk, and one gradient says it of all channels. The
    paper divides by S, which turns the map around
    where the score is negative; its size says the same without that.

    Args:
        divide: False leaves the division out: then weights can be compared between pictures. It is left out as well
            where |S| is below the precision of numbers.

    >>> import jax.numpy as jnp
    >>> A = jnp.array([[1.0, 2.0], [3.0, 0.0]])
    >>> AblationCAM()(activations=A, score=A.sum(), head=jnp.sum, chunk=8).weights      # 4 / 6 and 2 / 6
    Array([0.6666667 , 0.33333334], dtype=float32)
    """

    divide: bool = True

    about: ClassVar[About] = About(
        "Ramaswamy et al., WACV 2020 (doi:10.1109/WACV45572.2020.9093360)",
        "1 forward; C forward of the head, 1 backward of it where the score is affine in A",
        "the effect of each channel itself, where gradients vanish or saturate",
    )

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        score: Float[Array, ""],
        head: Callable[[Any], Any],
        chunk: int,
    ) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equation."""
        channels = activations.shape[-1]

        def without(channel: Any) -> Any:
            kept = jnp.broadcast_to(jnp.arange(channels) != channel, activations.shape)
            return head(jnp.where(kept, activations, 0))

        if affine(head, activations):
            weights = (jax.grad(head)(activations) * activations).reshape(-1, channels).sum(0)
        else:
            weights = score - each(without, channels, chunk)
        if self.divide:
            size = jnp.abs(score)
            weights = weights / jnp.where(size < jnp.finfo(size.dtype).eps, 1, size)
        return weighted(activations, weights)
