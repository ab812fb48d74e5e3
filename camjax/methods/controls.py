"""Controls: maps that know nothing of the target, for others to be compared with."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import jax
import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap
from camjax.methods._weighted import weighted

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class RandomCAM:
    """Random-CAM: channel weights drawn from U(-1, 1), the same for all targets of an example.

    >>> import jax, jax.numpy as jnp
    >>> bool((jnp.abs(RandomCAM()(activations=jnp.ones((2, 2, 9)), key=jax.random.key(0)).weights) <= 1).all())
    True
    """

    about: ClassVar[About] = About(
        "pytorch-grad-cam (RandomCAM)", "1 forward", "a control: what channels alone achieve, without a reason"
    )

    def __call__(self, *, activations: Float[Array, "*space C"], key: Array) -> CoarseMap:
        """The coarse map of one example."""
        return weighted(activations, jax.random.uniform(key, activations.shape[-1:], activations.dtype, -1, 1))


@dataclasses.dataclass(frozen=True)
class MeanActivation:
    """The mean of the channels.

    >>> import jax.numpy as jnp
    >>> MeanActivation()(activations=jnp.array([[1.0, 3.0]])).raw
    Array([2.], dtype=float32)
    """

    about: ClassVar[About] = About("none", "1 forward", "a control: where the layer is active at all")

    def __call__(self, *, activations: Float[Array, "*space C"]) -> CoarseMap:
        """The coarse map of one example."""
        channels = activations.shape[-1]
        return weighted(activations, jnp.full((channels,), 1 / channels, activations.dtype))


@dataclasses.dataclass(frozen=True)
class CenteredGaussian:
    """A Gaussian in the centre of the picture, whatever is in it.

    Args:
        deviation: its standard deviation, relative to each side.

    >>> import jax.numpy as jnp
    >>> CenteredGaussian()(activations=jnp.zeros((3, 4))).raw.round(3)
    Array([0.411, 1.   , 0.411], dtype=float32)
    """

    deviation: float = 0.25

    about: ClassVar[About] = About("none", "1 forward", "a control: photographers centre their objects")

    def __call__(self, *, activations: Float[Array, "*space C"]) -> CoarseMap:
        """The map of one example."""
        grid = activations.shape[:-1]
        lines = [((jnp.arange(n, dtype=activations.dtype) + 0.5) / n - 0.5) / self.deviation for n in grid]
        axes = jnp.meshgrid(*lines, indexing="ij")
        return CoarseMap(jnp.exp(-0.5 * jnp.sum(jnp.stack(axes) ** 2, 0)))
