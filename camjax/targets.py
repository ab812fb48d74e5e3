"""What is explained: scalar scores of one example's outputs.

A target is anything `camjax.explain` takes for `target=`: None (the predicted class), a class index, class
names, arrays `[B]`, `[B, K]` or `[1, K]` of class indices, a function `score(outputs_of_one_example) -> scalar`,
or one of the objects that the functions of this module make from them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Self

import jax
import jax.numpy as jnp

from camjax._target import Logit, Top, as_target, pick, register_target
from camjax._target import Target as Target
from camjax._target import logits as logits

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int


@register_target(["of"], [])
@dataclasses.dataclass(frozen=True)
class _Of(Target):
    """A target made from another: all but the score is the other's."""

    of: Any

    @property
    def count(self) -> int:
        """K."""
        return self.of.count

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With names turned into indices."""
        of, keep = as_target(self.of, labels, batch)
        return dataclasses.replace(self, of=of), keep

    def resolve(self, outputs: Any) -> Self:
        """With the classes that the outputs decide."""
        return dataclasses.replace(self, of=self.of.resolve(outputs))

    def class_index(self) -> Int[Array, ""] | int:
        """The class."""
        return self.of.class_index()

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        """Whether the class is out of range."""
        return self.of.bad(outputs)


@register_target(["of"], [])
@dataclasses.dataclass(frozen=True)
class Negated(_Of):
    """The score with its sign turned."""

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        return -self.of(outputs)


class _OfClass(_Of):
    """A target made from classes; from nothing else."""

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With names turned into indices."""
        of, keep = as_target(self.of, labels, batch)
        if not isinstance(of, Logit | Top):
            raise ValueError(
                f"target: {type(self).__name__.lower()}() takes classes (indices, names, top(k) or None for the "
                f"predicted class), got {self.of!r}; for anything else write a function of the outputs."
            )
        return dataclasses.replace(self, of=of), keep


@register_target(["of"], [])
@dataclasses.dataclass(frozen=True)
class Probability(_OfClass):
    """The softmax probability of a class."""

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        return pick(jax.nn.softmax(logits(outputs)), self.class_index())


@register_target(["of", "against"], [])
@dataclasses.dataclass(frozen=True)
class Contrast(_Of):
    """The difference of two scores."""

    against: Any

    @property
    def count(self) -> int:
        """K."""
        return max(self.of.count, self.against.count)

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With names turned into indices."""
        of, first = as_target(self.of, labels, batch)
        against, second = as_target(self.against, labels, batch)
        if 1 != of.count != against.count != 1:
            raise ValueError(
                f"target: contrast of {of.count} scores with {against.count}; both sides need as many targets per "
                "example, or one of them one."
            )
        return Contrast(of, against), first or second

    def resolve(self, outputs: Any) -> Contrast:
        """With the classes that the outputs decide."""
        sides = self.of.resolve(outputs), self.against.resolve(outputs)
        count = max((leaf.shape[0] for leaf in jax.tree.leaves(sides)), default=1)
        return Contrast(*jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape[1:])), sides))

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        return self.of(outputs) - self.against(outputs)

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        """Whether the class is out of range."""
        return self.of.bad(outputs) | self.against.bad(outputs)


@register_target(["of"], [])
@dataclasses.dataclass(frozen=True)
class Rest(_OfClass):
    """The residual-softmax utility of a class: its logit and its log-probability."""

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        scores = logits(outputs)
        return pick(scores + jax.nn.log_softmax(scores), self.class_index())


@register_target(["of", "near"], ["alpha", "classes", "weighted"])
@dataclasses.dataclass(frozen=True)
class Finer(_OfClass):
    """A class's logit, less those of the classes most like it; `near`, once they are known, holds these."""

    of: Any
    near: Any
    alpha: float
    classes: int
    weighted: bool

    def resolve(self, outputs: Any) -> Finer:
        """With the classes that the outputs decide, and those nearest to each."""
        of, scores = self.of.resolve(outputs), logits(outputs)
        if self.classes >= scores.shape[0]:
            raise ValueError(
                f"targets.finer: classes = {self.classes} others to compare with, but the model has "
                f"{scores.shape[0]} classes; ask for fewer."
            )

        def nearest(one: Target) -> Any:
            index = one.class_index()
            far = jnp.abs(scores - pick(scores, jnp.asarray(index)))
            far = jnp.where(jnp.arange(scores.shape[0]) == index, jnp.inf, far)
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


def top(k: int) -> Target:
    """The k highest-scoring classes of each example, best first; they need no second forward pass.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> x = jnp.ones((1, 2, 2, 3)) * jnp.array([0.0, 2.0, 1.0])
    >>> camjax.explain(model, x, top(2), layer=split).target
    Array([[1, 2]], dtype=int32)

    Raises:
        ValueError: when k is not a positive int; when the model has fewer classes, at `explain`.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"targets.top: k must be a positive int, the number of classes; got {k!r}.")
    return Top(k)


def probability(target: Any = None) -> Target:
    """The softmax probability of the given classes, None: of the predicted one.

    Its gradient compares the class with all others, and vanishes where the model is sure.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> camjax.explain(model, jnp.ones((1, 2, 2, 4)), probability(3), layer=split).score
    Array([0.25], dtype=float32)
    """
    return Probability(target)


def negated(target: Any = None) -> Target:
    """The score with its sign turned: what speaks *against* the target (Grad-CAM paper, counterfactuals).

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> camjax.explain(model, jnp.ones((1, 2, 2, 4)), negated(3), layer=split).score
    Array([-1.], dtype=float32)
    """
    return Negated(target)


def contrast(target: Any, against: Any) -> Target:
    """The difference of two scores: what speaks for `target` rather than for `against`.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None, labels=("cat", "dog"))
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> x = jnp.ones((1, 2, 2, 2)) * jnp.array([3.0, 1.0])
    >>> camjax.explain(model, x, contrast("cat", "dog"), layer=split).score
    Array([2.], dtype=float32)
    """
    return Contrast(target, against)


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
