"""Generic attention explainability (Chefer, Gur, Wolf, ICCV 2021, arXiv:2103.15679)."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from camjax.methods._attention import Attention, read
from camjax.methods._contract import About, CoarseMap


@dataclasses.dataclass(frozen=True)
class GAE:
    """Generic attention explainability: rollout of the attention that the score gains from.

        P'_l = mean_h relu(dS/dP_l * P_l)                       (eq. 5)
        R_l = R_(l-1) + P'_l R_(l-1),         R_0 = I           (eq. 6)
        raw[p] = R_L[class token, p]

    with P_l `[H, T, T]` the attention of block l. Where the score does not read a class token but an average, raw is
    the mean of the rows of all tokens that it reads, without the identity that they begin with.

    Shapes: raw `[*space]`, at the resolution of the tokens, never negative. Cost: one forward pass, and one backward
    pass to the first attention per target.

    For class-specific maps of vision transformers that follow information from block to block.

    Raises ValueError for a model that is no transformer over the picture's tokens, and for a hand-written `Split`.

    >>> import camjax
    >>> model, x = camjax.testing.tiny_transformer(), jnp.ones((1, 8, 12, 3)).at[0, :4, 4:8].set(-1)
    >>> camjax.explain(model, x, 0, method=camjax.GAE()).raw.shape
    (1, 2, 3)
    """

    grid: ClassVar[str] = "own"
    about: ClassVar[About] = About(
        "Chefer, Gur, Wolf, ICCV 2021 (arXiv:2103.15679)",
        "1 forward pass; 1 backward pass to the first attention per target",
        "vision transformers: class-specific relevance, followed through all blocks",
    )

    def __call__(self, *, attention: Attention) -> CoarseMap:
        """The map of one example and one target; the class has the equations."""
        gradients = attention.gradients()
        gained = jnp.zeros_like(gradients[0][0])  # R - I
        for P, gradient in zip(attention.probabilities, gradients, strict=True):
            useful = jnp.maximum(gradient * P, 0).mean(0)
            gained = gained + useful + useful @ gained
        return CoarseMap(attention.picture(read(gained, gradients[-1])))
