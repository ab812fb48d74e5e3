"""LeGrad (Bousselham et al., ICCV 2025, arXiv:2404.03214)."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from camjax.methods._attention import Attention
from camjax.methods._contract import About, CoarseMap


@dataclasses.dataclass(frozen=True)
class LeGrad:
    """LeGrad: how much each token, were it attended to more, would raise the score that each block already makes.

        s_l = S(mean_i z_l[i])                                  the score of the mean token behind block l
        E_l[j] = 1/(H T) sum_h sum_i relu(ds_l / dP_l[h, i, j])
        raw[p] = sum_l E_l[p]                                   tokens of the picture only

    (the paper's section 3.2; its mean over l is a sum here). z_l is the residual stream behind block l, P_l the block's
    attention, query i to key j, of H heads and T tokens, and S what follows the last block: its norm and the
    classifier, or a projection and the similarity to a text. S sees the mean token in the place of every token, so that
    it does not matter whether it reads a class token or averages. Only block l's own attention is differentiated.

    Shapes: raw `[*space]`, at the resolution of the tokens, never negative. The layer is not looked at, but where no
    convolution labels the axes of x, it says with `axes=` which tokens are the picture's. Cost: one forward pass and,
    per target, a backward pass of each block from its attention on and of the head: for ViT-B/16 as much work again.

    Args:
        blocks: how many blocks, counted from the last; None: all, as in the paper. (The authors' code defaults to 2.)

    For vision transformers, CLIP-like ones too: sharp maps that depend on the class, from shallow blocks as well.

    Raises ValueError for a model that is no transformer over the picture's tokens, for one without a residual stream,
    and for a hand-written `Split`.

    >>> import camjax
    >>> model, x = camjax.testing.tiny_transformer(), jnp.ones((1, 8, 12, 3)).at[0, :4, 4:8].set(-1)
    >>> camjax.explain(model, x, 0, method=camjax.LeGrad()).raw.shape
    (1, 2, 3)
    """

    blocks: int | None = None

    grid: ClassVar[str] = "own"
    about: ClassVar[About] = About(
        "Bousselham et al., ICCV 2025 (arXiv:2404.03214)",
        "1 forward pass; per target the backward passes of all blocks, each its own, and the head's",
        "vision transformers: class-specific maps from the attention of all blocks",
    )

    def __post_init__(self) -> None:
        if self.blocks is not None and (isinstance(self.blocks, bool) or self.blocks < 1):
            raise ValueError(f"blocks: got {self.blocks!r}, expected how many of the last blocks, or None for all.")

    def __call__(self, *, attention: Attention) -> CoarseMap:
        """The map of one example and one target; the class has the equations."""
        shares = [jnp.maximum(g, 0).mean((0, 1)) for g in attention.sensitivities(self.blocks)]
        return CoarseMap(attention.picture(sum(shares[1:], shares[0])))
