"""A class measured against the others: the residual-softmax utility, and the classes most like it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from camjax._target import Target, logits, pick, register_target
from camjax.targets._of import OfClass

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@register_target(["of"], [])
@dataclasses.dataclass(frozen=True)
class Rest(OfClass):
    """The residual-softmax utility of a class: its logit and its log-probability."""

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        scores = logits(outputs)
        return pick(scores + jax.nn.log_softmax(scores), self.class_index())


@register_target(["of", "near"], ["alpha", "classes", "weighted"])
@dataclasses.dataclass(frozen=True)
class Finer(OfClass):
    """A class's logit, less those of the classes most like it; `near`, once they are known, holds these."""

    of: Any
    near: Any
    alpha: float
    classes: int
    weighted: bool

    @property
    def softmax(self) -> str:
        """Its name, where it weighs with probabilities."""
        return "targets.finer(weighted=True)" if self.weighted else ""

    def resolve(self, outputs: Any) -> Finer:
        """With the classes that the outputs decide, and those nearest to each."""
        of, scores = self.of.resolve(outputs), logits(outputs)
        if self.classes >= scores.shape[0]:
            raise ValueError(
                f"targets.finer: classes = {self.classes} others to compare with, but the model has "
                f"{scores.shape[0]} classes; ask for fewer."
            )

        def nearest(one: Target) -> Any:
            index = jnp.asarray(one.class_index())
            far = jnp.abs(scores - pick(scores, index))
            far = jnp.where(jnp.arange(scores.shape[0], dtype=index.dtype) == index, jnp.inf, far)
            return jax.lax.top_k(-far, self.classes)[1]

        count = jax.tree.leaves(of)[0].shape[0]
        return dataclasses.replace(self, of=of, near=jax.vmap(nearest, axis_size=count)(of))

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        scores, own = logits(outputs), self.of(outputs)
        others = own - self.alpha * scores[self.near]
        if not self.weighted:
            return others.mean()
        p = jax.nn.softmax(scores)[self.near]
        return (p * others).sum() / p.sum()


def rest(target: Any = None) -> Target:
    """The ReST utility y_c + log softmax(y)_c of a class (ShapleyCAM, arXiv:2501.06261); None: of the predicted one.

    The logit says how much evidence there is, its log-probability how much of it the other classes do not share.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> camjax.explain(model, jnp.ones((1, 2, 2, 4)), rest(3), layer=split).score      # 1 + log(1/4)
    Array([-0.38629436], dtype=float32)
    """
    return Rest(target)


def finer(target: Any = None, alpha: float = 0.6, classes: int = 3, *, weighted: bool = False) -> Target:
    """A class against those most like it (Finer-CAM, arXiv:2501.11309): y_c - alpha * mean of the nearest logits.

    Args:
        target: the class, None: the predicted one.
        alpha: how much the similar classes count.
        classes: how many of them: those whose logits are nearest to y_c. The choice is made once, and is no part of
            what is differentiated.
        weighted: as the authors' code has it: the mean of y_c - alpha y_d weighted by the probabilities of the
            similar classes, with the gradient through these weights.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> x = jnp.ones((1, 2, 2, 3)) * jnp.array([4.0, 3.0, 1.0])
    >>> camjax.explain(model, x, finer(0, alpha=0.5, classes=1), layer=split).score      # 4 - 3 / 2
    Array([2.5], dtype=float32)

    Raises:
        ValueError: when `classes` is not a positive int; when the model has too few, at `explain`.
    """
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise ValueError(f"targets.finer: classes must be a positive int, got {classes!r}.")
    return Finer(target, None, float(alpha), classes, weighted)
