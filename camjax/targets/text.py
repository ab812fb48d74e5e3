"""The words of a text that a model writes about its input: captions, and answers of more than one word."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax._target import Target, register_target
from camjax.targets._arrays import entry, leading, same_count

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float


@register_target(["tokens", "counted"], ["each", "pad"])
@dataclasses.dataclass(frozen=True)
class Sequence(Target):
    """The log-probability of tokens, of which `counted` count; both have the axes `[B or 1, K, L]`."""

    tokens: Any
    counted: Any
    each: bool
    pad: int | None

    @property
    def complaint(self) -> str:
        """What `bad` says."""
        return "targets.sequence, targets.words: tokens has one that is not in the model's vocabulary"

    @property
    def softmax(self) -> str:
        """Its name."""
        return "targets.words" if self.each else "targets.sequence"

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With both axes; K are the words, where each has its own score."""
        name = self.softmax + ": tokens"
        tokens, keep = leading(name, self.tokens, batch, "L", 1, jnp.integer)
        if self.each and keep:
            raise ValueError(f"{name}: got shape {jnp.shape(self.tokens)}, expected [L], [B, L] or [1, L]; K is L.")
        length = tokens.shape[-1]
        counted = np.eye(length, dtype=bool)[None] if self.each else np.ones((1, 1, length), bool)
        tokens, counted = same_count(name, tokens, counted)
        if self.pad is not None:
            counted = counted & (tokens != self.pad)
        return dataclasses.replace(self, tokens=tokens, counted=counted), keep or self.each

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        each = jax.nn.log_softmax(self._scores(outputs))
        own = each.at[jnp.arange(each.shape[0]), self._read()].get(
            mode="fill", fill_value=jnp.nan, wrap_negative_indices=False
        )
        return jnp.where(self.counted, own, 0).sum()

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        """Whether a token that counts is not in the vocabulary."""
        return jnp.any(self.counted & ((self.tokens < 0) | (self.tokens >= self._scores(outputs).shape[1])))

    def _read(self) -> Any:
        return jnp.where(self.counted, self.tokens, 0)

    def _scores(self, outputs: Any) -> Float[Array, "l v"]:
        scores = entry(self.softmax, outputs, ("logits",), 2)
        assert scores is not None
        if scores.shape[0] != self.tokens.shape[-1]:
            raise ValueError(
                f"{self.softmax}: tokens has {self.tokens.shape[-1]} of them, but the model scores {scores.shape[0]} "
                "places; expected as many. Row t of the logits must be about token t: give the model the tokens but "
                "the last behind a start, and cut rows off that are about others."
            )
        return scores


def sequence(tokens: Any, pad: int | None = None) -> Target:
    """The log-probability of a text: sum_t log softmax(logits_t)[token_t], a caption's score.

    The outputs of one example are logits `[L, V]` (the only array with two axes, or the one called logits), and row t
    is about token t, given the tokens before it: the model reads them as an input (`x={"image": ..., "words": ...}`).

    Args:
        tokens: `[L]`, `[B, L]` or `[1, L]` integers; `[B, K, L]` or `[1, K, L]` for K texts.
        pad: the token that fills up shorter texts, and does not count.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean(1), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean(1))
    >>> camjax.explain(model, jnp.zeros((1, 2, 3, 4)), sequence([1, 0, 3]), layer=split).score      # 3 log(1/4)
    Array([-4.158883], dtype=float32)

    Raises:
        ValueError: at `explain`, when tokens are no integers of these shapes, or the model scores another number of
            places, or its vocabulary has not all of them; with `scores="outputs"`.
    """
    return Sequence(tokens, None, False, pad)


def words(tokens: Any, pad: int | None = None) -> Target:
    """The log-probability of each word of a text, K = L: log softmax(logits_t)[token_t], one map for each word.

    All words share one forward pass. The scores add up to that of `sequence`, and so do linear maps.

    Where a model is sure of a word, the log-probability is flat: its gradient only tells the word from the runner-up,
    and so do the maps of `GradCAM` and `HiResCAM`. Those of `LayerIntegratedGradients` add up to what the word gained.

    Args:
        tokens: `[L]`, `[B, L]` or `[1, L]` integers.
        pad: the token that fills up shorter texts: its score is 0, its status `ZERO_GRADIENT`.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean(1), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean(1))
    >>> camjax.explain(model, jnp.zeros((1, 2, 3, 4)), words([1, 0, 3]), layer=split).score.shape
    (1, 3)

    Raises:
        ValueError: as `sequence`.
    """
    return Sequence(tokens, None, True, pad)
