"""All methods of attention as one, for tests of several networks."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

import camjax

METHODS = (camjax.LeGrad(), camjax.GAE(), camjax.GradECLIP(), camjax.AttentionRollout())


@dataclasses.dataclass(frozen=True)
class Together:
    """The maps of all four, one below the other: compiled once."""

    grid: ClassVar[str] = "own"

    def __call__(self, *, attention):
        return camjax.CoarseMap(jnp.concatenate([method(attention=attention).raw for method in METHODS]))
