"""A class's scores in a region of the picture."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, cast

import jax.numpy as jnp

from camjax._target import Logit, Target, as_target, describe, register_target
from camjax._validate import check_choice
from camjax.targets._arrays import entry, leading, same_count

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int


@register_target(["of", "mask"], ["reduce", "channel"])
@dataclasses.dataclass(frozen=True)
class Segmentation(Target):
    """The sum or mean of a class's scores in a mask `[B or 1, K, H, W]`, None: where it is predicted."""

    of: Any
    mask: Any
    reduce: str
    channel: int

    @property
    def count(self) -> int:
        """K."""
        return self.of.count

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With names turned into indices, and both axes."""
        of, keep = as_target(self.of, labels, batch)
        if not isinstance(of, Logit):
            raise ValueError(
                f"targets.segmentation: target takes classes (indices or names), got {self.of!r}; the predicted class "
                "differs from place to place, so name the one that is meant."
            )
        index, mask = cast(Any, of).index, self.mask
        if mask is not None:
            mask, several = leading("targets.segmentation: mask", mask, batch, "H, W", 2)
            index, mask = same_count("targets.segmentation", index, mask)
            keep = keep or several
        return dataclasses.replace(self, of=Logit(index), mask=mask), keep

    def resolve(self, outputs: Any) -> Segmentation:
        """With the region where the class is predicted."""
        if self.mask is not None:
            return self
        best = jnp.argmax(self._scores(outputs), -1)
        return dataclasses.replace(self, mask=best[None] == jnp.expand_dims(jnp.asarray(self.of.index), (1, 2)))

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        scores = self._scores(outputs)
        if self.mask.shape != scores.shape[:2]:
            raise ValueError(
                f"targets.segmentation: mask is {list(self.mask.shape)}, but the model's scores are for "
                f"{list(scores.shape[:2])} places; expected the same. Resize the mask, or say channel=0 if the "
                "model's classes come first."
            )
        own = scores.at[..., self.of.index].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        mask = jnp.asarray(self.mask).astype(own.dtype)
        total = (own * mask).sum()
        return total / jnp.where(mask.sum() == 0, 1, mask.sum()) if self.reduce == "mean" else total

    def class_index(self) -> Int[Array, ""] | int:
        """None that a vector of class scores has: there is one at every place."""
        return -1

    @property
    def complaint(self) -> str:
        """What `bad` says."""
        return "targets.segmentation: the class is not one of the model's, or its mask is empty: no place is explained"

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        """Whether the class is out of range, or the region empty."""
        index = jnp.asarray(self.of.index)
        return (index < 0) | (index >= self._scores(outputs).shape[-1]) | ~jnp.any(self.mask)

    def _scores(self, outputs: Any) -> Float[Array, "h w c"]:
        scores = entry("targets.segmentation", outputs, ("logits", "out"), 3)
        assert scores is not None, describe(outputs)
        return jnp.moveaxis(scores, self.channel, -1)


def segmentation(target: Any, mask: Any = None, *, reduce: str = "sum", channel: int = -1) -> Target:
    """A class's scores in a region (Seg-Grad-CAM, arXiv:2002.11434): sum_p m_p y[p, c], or their mean.

    The outputs of one example are scores `[H, W, C]` or `[C, H, W]`: the only array with three axes, or the one that
    is called logits or out.

    Args:
        target: the class, or classes, by index or name.
        mask: the region, `[H, W]`, `[B, H, W]` or `[1, H, W]`, boolean or weights; `[B, K, H, W]` or `[1, K, H, W]`
            for K regions. None: where the class is the predicted one; the choice is not differentiated.
        reduce: "sum" or "mean".
        channel: the classes' axis in one example's scores: -1 for channel-last, 0 for channel-first models.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x, None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A)
    >>> mask = jnp.array([[True, False], [True, False]])
    >>> camjax.explain(model, jnp.ones((1, 2, 2, 3)), segmentation(1, mask), layer=split).score
    Array([2.], dtype=float32)

    Raises:
        ValueError: for another `reduce` or `channel`; at `explain`, when the mask has not the size of the scores or
            is empty, and for what is no class.
    """
    check_choice("targets.segmentation: reduce", reduce, ("sum", "mean"))
    check_choice("targets.segmentation: channel", channel, (-1, 0))
    return Segmentation(target, mask, reduce, channel)
