"""FEM (Fuad et al., IPTA 2020)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class FEM:
    """FEM, the feature explanation method: where channels are unusually strong, each counted by its mean.

        raw = sum_k mean_p(A_k) 1[A_k >= mu_k + t sigma_k]

    with mu_k and sigma_k the channel's mean and standard deviation over space. It knows nothing of any class. A channel
    that does not vary is unusual nowhere.

    Args:
        t: how many standard deviations.

    >>> import jax.numpy as jnp
    >>> FEM()(activations=jnp.zeros((8, 1)).at[2, 0].set(8.0)).raw
    Array([0., 0., 1., 0., 0., 0., 0., 0.], dtype=float32)
    """

    t: float = 2.0

    about: ClassVar[About] = About(
        "Fuad et al., IPTA 2020 (doi:10.1109/IPTA50016.2020.9286629)",
        "1 forward",
        "any class: the plainest statistics of a layer",
    )

    def __call__(self, *, activations: Float[Array, "*space C"]) -> CoarseMap:
        """The coarse map of one example, the same for every target; the class has the equation."""
        space = tuple(range(activations.ndim - 1))
        mean, deviation = activations.mean(space), activations.std(space)
        varies = jnp.broadcast_to(deviation > 8 * jnp.finfo(mean.dtype).eps * jnp.abs(mean), activations.shape)
        unusual = (activations >= jnp.broadcast_to(mean + self.t * deviation, activations.shape)) & varies
        return CoarseMap(jnp.matmul(unusual.astype(mean.dtype), mean, precision="highest"))
