"""Grad-ECLIP (Zhao et al., ICML 2024, arXiv:2502.18816)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import jax
import jax.numpy as jnp

from camjax.methods._attention import Attention
from camjax.methods._contract import About, CoarseMap
from camjax.methods._evaluate import min_max

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class GradECLIP:
    """Grad-ECLIP: the last attention's values, weighted by the gradient and by how well keys fit the query.

        w_d = dS / dO[class token, d]                           the channels' weights
        lambda_p = s(cos(q[class token], k_p))                  loosened attention: s is min-max over the picture
        raw[p] = lambda_p * sum_d w_d v_p[d]

    in the last block, with O = P V, and q, k, v, O with the channels of all heads side by side. The softmax of the
    attention, which leaves few tokens, is replaced by lambda. Where the score does not read a class token but an
    average, raw is the sum over all tokens that it reads. (The authors' code runs the last attention anew with a
    single head; here it is the model's own.)

    Shapes: raw `[*space]`, at the resolution of the tokens; the paper's map is relu(raw). Cost: one forward pass,
    and per target the backward pass of what follows the last attention.

    For CLIP and its like, with `camjax.targets.embedding` or `camjax.targets.similarity`: which part of the picture is
    like the text. It is linear in the score.

    Raises ValueError for a model that is no transformer over the picture's tokens, and for a hand-written `Split`.

    >>> import camjax
    >>> model, x = camjax.testing.tiny_transformer(), jnp.ones((1, 8, 12, 3)).at[0, :4, 4:8].set(-1)
    >>> text = jnp.arange(5.0)  # the model's output stands for an embedding
    >>> camjax.explain(model, x, camjax.targets.embedding(text), method=camjax.GradECLIP()).raw.shape
    (1, 2, 3)
    """

    grid: ClassVar[str] = "own"
    about: ClassVar[About] = About(
        "Zhao et al., ICML 2024 (arXiv:2502.18816)",
        "1 forward pass; per target the backward pass of what follows the last attention",
        "CLIP-like models: what in the picture is like a text",
    )

    def __call__(self, *, attention: Attention) -> CoarseMap:
        """The map of one example and one target; the class has the equations."""
        q, k, v = attention.queries[-1], attention.keys[-1], attention.values[-1]
        worth = attention.picture(jnp.einsum("hid,hpd->ip", attention.output_gradient(), v))
        lengths = _length(q)[:, None] * _length(k)[None]
        cosines = jnp.einsum("hid,hpd->ip", q, k) / jnp.where(lengths > 0, lengths, 1)
        loosened, _ = jax.vmap(min_max)(attention.picture(cosines))
        return CoarseMap((loosened * worth).sum(0))


def _length(tokens: Float[Array, "H T D"]) -> Float[Array, " T"]:
    return jnp.sqrt((tokens * tokens).sum((0, 2)))
