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


@register_target(["of"], [])
@dataclasses.dataclass(frozen=True)
class Probability(_Of):
    """The softmax probability of a class."""

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With names turned into indices."""
        bound, keep = super().bind(labels, batch)
        if not isinstance(bound, Probability) or not isinstance(bound.of, Logit | Top):
            raise ValueError(
                f"target: probability() takes classes (indices, names, top(k) or None for the predicted class), got "
                f"{self.of!r}; for the probability of anything else write a function of the outputs."
            )
        return bound, keep

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
