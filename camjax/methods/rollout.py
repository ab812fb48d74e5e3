"""Attention rollout (Abnar and Zuidema, ACL 2020, arXiv:2005.00928)."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from camjax.methods._attention import Attention, read
from camjax.methods._contract import About, CoarseMap


@dataclasses.dataclass(frozen=True)
class AttentionRollout:
    """Attention rollout: how much of each token's input is in the token that the score reads, by attention alone.

        R_l = rownorm(mean_h P_l + I) R_(l-1),        R_0 = I        (eq. 1, with the identity for the residual stream)
        raw[p] = R_L[class token, p]

    with P_l `[H, T, T]` the attention of block l. Where the score does not read a class token but an average, raw is
    the mean of the rows of all tokens that it reads.

    Shapes: raw `[*space]`, at the resolution of the tokens; row sums are 1. Cost: one forward pass, and the backward
    pass of what follows the last attention, which tells the tokens that are read. The class is not asked for:
    whatever the score, the map is the same, unless the score reads other tokens.

    To see what a transformer can have mixed, and as the control that `GAE` and `LeGrad` must beat.

    Raises ValueError for a model that is no transformer over the picture's tokens, and for a hand-written `Split`.

    >>> import camjax
    >>> model, x = camjax.testing.tiny_transformer(), jnp.ones((1, 8, 12, 3)).at[0, :4, 4:8].set(-1)
    >>> camjax.explain(model, x, 0, method=camjax.AttentionRollout()).raw.shape
    (1, 2, 3)
    """

    grid: ClassVar[str] = "own"
    about: ClassVar[About] = About(
        "Abnar and Zuidema, ACL 2020 (arXiv:2005.00928)",
        "1 forward pass; the backward pass of what follows the last attention",
        "vision transformers: what attention mixes, whatever the class; the control of token methods",
    )

    def __call__(self, *, attention: Attention) -> CoarseMap:
        """The map of one example and one target; the class has the equations."""
        first = attention.probabilities[0]
        rollout = identity = jnp.eye(first.shape[-1], dtype=first.dtype)
        for P in attention.probabilities:
            mixed = P.mean(0) + identity
            rollout = mixed / mixed.sum(-1, keepdims=True) @ rollout
        (gradient,) = attention.gradients(last=1)
        return CoarseMap(attention.picture(read(rollout, gradient)))
