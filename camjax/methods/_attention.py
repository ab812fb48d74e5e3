"""What a method that needs `attention` gets, and what the token methods have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float


class Attention(NamedTuple):
    """The attention of a transformer's blocks over the tokens of the picture, for one example and one target.

    Per block, in the order in which they are computed, P = softmax(Q K^T) and O = P V, for H heads, T tokens (those of
    the picture, class tokens and registers) and D channels per head. All arrays are float32 or wider.

    Attributes:
        probabilities: P, `[H, T, T]`: row i says how much query i takes from each key.
        queries: Q, `[H, T, D]`, as the product with the keys reads them.
        keys: K, `[H, T, D]`.
        values: V, `[H, T, D]`.
        gradients: `gradients(last=None)`: dS/dP of the last so many blocks (None: of all), from one backward pass.
        output_gradient: `output_gradient()`: dS/dO of the last block, `[H, T, D]`.
        sensitivities: `sensitivities(last=None)`: ds_l/dP_l of the same blocks; s_l is the score if all tokens were
            the mean of the tokens behind block l.
        picture: from a number for each token, `[..., T]`, to the map `[..., *space]`.
    """

    probabilities: Sequence[Float[Array, "H T T"]]
    queries: Sequence[Float[Array, "H T D"]]
    keys: Sequence[Float[Array, "H T D"]]
    values: Sequence[Float[Array, "H T D"]]
    gradients: Callable[..., Sequence[Float[Array, "H T T"]]]
    output_gradient: Callable[[], Float[Array, "H T D"]]
    sensitivities: Callable[..., Sequence[Float[Array, "H T T"]]]
    picture: Callable[[Float[Array, "... T"]], Float[Array, "... *space"]]


def read(relevance: Float[Array, "T T"], gradient: Float[Array, "H T T"]) -> Float[Array, " T"]:
    """The rows of `relevance` of those tokens that the score reads behind the last block, averaged.

    They are those with a gradient in the last block: the class token, or all that are pooled.
    """
    rows = jnp.any(gradient != 0, axis=(0, 2)).astype(relevance.dtype)
    return rows @ relevance / jnp.maximum(rows.sum(), 1)
