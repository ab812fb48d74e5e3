"""How similar an embedding is to a given one, or the picture's to the text's of a model with two towers."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from camjax._target import Target, register_target
from camjax.targets._arrays import entry, leading

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float

IMAGE = ("image_embeds", "image_features", "image_embedding", "embedding")
TEXT = ("text_embeds", "text_features", "text_embedding")


def cosine(a: Float[Array, " d"], b: Float[Array, " d"]) -> Float[Array, ""]:
    """a . b / (|a| |b|); 0 with gradient 0 where one of them is the zero vector."""
    squares = jnp.vdot(a, a) * jnp.vdot(b, b)
    return jnp.where(squares > 0, jnp.vdot(a, b) / jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


@register_target(["reference"], ["scaled"])
@dataclasses.dataclass(frozen=True)
class Embedding(Target):
    """The cosine of the output and a reference, which has the axes `[B or 1, K, D]`."""

    reference: Any
    scaled: bool = False

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With both axes."""
        array, keep = leading("targets.embedding: reference", self.reference, batch, "D", 1, jnp.floating)
        return dataclasses.replace(self, reference=array), keep

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        own = entry("targets.embedding", outputs, IMAGE, 1)
        assert own is not None
        if own.shape != self.reference.shape:
            raise ValueError(
                f"targets.embedding: reference has {self.reference.shape[-1]} numbers, but the model's embedding has "
                f"{own.shape[0]}; expected the same."
            )
        similarity = cosine(own, jnp.asarray(self.reference).astype(own.dtype))
        return similarity * scale_of(outputs, similarity) if self.scaled else similarity


@register_target(["index"], [])
@dataclasses.dataclass(frozen=True)
class Similarity(Target):
    """The scaled cosine of the picture and one of the example's texts; `index` has the axes `[B or 1, K]`."""

    index: Any

    @property
    def complaint(self) -> str:
        """What `bad` says."""
        return "targets.similarity: the example has no text of this number"

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With both axes."""
        array, keep = leading("targets.similarity: text", self.index, batch, "", 0, jnp.integer)
        return Similarity(array), keep

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        image, texts = entry("targets.similarity", outputs, IMAGE, 1), self._texts(outputs)
        assert image is not None
        text = texts.at[self.index].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        similarity = cosine(image, text)
        return similarity * scale_of(outputs, similarity)

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        """Whether there is no such text."""
        return (self.index < 0) | (self.index >= self._texts(outputs).shape[0])

    def _texts(self, outputs: Any) -> Float[Array, "t d"]:
        one = [leaf for leaf in (named_text(outputs, 1), named_text(outputs, 2)) if leaf is not None]
        if not one:
            entry("targets.similarity", outputs, TEXT, 2)  # raises, in words
        return jnp.atleast_2d(one[0])


def named_text(outputs: Any, rank: int) -> Any:
    """The texts' embeddings where they have this rank, else None."""
    try:
        return entry("targets.similarity", outputs, TEXT, rank, required=False)
    except ValueError:  # they have the other
        return None


def scale_of(outputs: Any, like: Any) -> Any:
    """The entry `logit_scale` of the outputs, 1 where there is none."""
    scale = entry("targets.similarity", outputs, ("logit_scale",), 0, required=False)
    return jnp.ones_like(like) if scale is None else scale.astype(like.dtype)


def embedding(reference: Any) -> Target:
    """The cosine similarity to a reference embedding: e . r / (|e| |r|), with e the model's embedding.

    For retrieval and metric learning: what of this picture makes it like that one (or like a text)? e is the only
    floating vector of the outputs, or the one that is called image_embeds, image_features or embedding.

    Args:
        reference: `[D]`, `[B, D]` or `[1, D]`; `[B, K, D]` or `[1, K, D]` for K references.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> camjax.explain(model, jnp.ones((1, 2, 2, 4)), embedding(jnp.eye(4)[0]), layer=split).score
    Array([0.5], dtype=float32)

    Raises:
        ValueError: at `explain`, when the reference is no floating array of these shapes or of another length.
    """
    return Embedding(reference)


def similarity(text: Any = 0) -> Target:
    """A picture and a text of a model with two towers (CLIP): s * cos(image, text).

    The outputs of one example are image_embeds `[D]`, text_embeds `[D]` or `[T, D]` (or ..._features), and logit_scale
    s, the factor itself and not its logarithm, if there is one. With texts that were embedded before, use
    `embedding(texts)`: then the text tower need not run.

    Args:
        text: which of the example's texts: an index, `[B]`, `[B, K]` or `[1, K]` of them.

    >>> import camjax
    >>> def towers(x):
    ...     return {"image_embeds": x.mean((1, 2)), "text_embeds": jnp.eye(2)[None], "logit_scale": jnp.full(1, 10.0)}
    >>> model = camjax.Model(lambda w, x: towers(x), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: towers(A))
    >>> x = jnp.ones((1, 2, 2, 2)) * jnp.array([4.0, 3.0])
    >>> camjax.explain(model, x, similarity([[0, 1]]), layer=split).score
    Array([[8., 6.]], dtype=float32)

    Raises:
        ValueError: at `explain`, when the outputs have no such entries, or no text of this number.
    """
    return Similarity(text)
