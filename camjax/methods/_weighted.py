"""The map of channel weights, which most methods end with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from camjax.methods._contract import CoarseMap

if TYPE_CHECKING:
    from jaxtyping import Array, Float


def weighted(activations: Float[Array, "*space C"], weights: Float[Array, " C"]) -> CoarseMap:
    """raw = sum_k w_k A_k, with the weights and the channels' shares.

    One matrix product: with K targets under vmap it is [Z, C] x [C, K].
    """
    terms = activations * jnp.broadcast_to(weights, activations.shape)
    return CoarseMap(jnp.matmul(activations, weights, precision="highest"), weights, terms)


def sum_over_space(values: Float[Array, "*space C"]) -> Float[Array, " C"]:
    """The sum of each channel over all positions."""
    return values.sum(tuple(range(values.ndim - 1)))
