"""Scores made from other scores: what speaks against, and what speaks for one rather than the other."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from camjax._target import Target, as_target, register_target
from camjax.targets._of import Of

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float


@register_target(["of"], [])
@dataclasses.dataclass(frozen=True)
class Negated(Of):
    """The score with its sign turned."""

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        return -self.of(outputs)


@register_target(["of", "against"], [])
@dataclasses.dataclass(frozen=True)
class Contrast(Of):
    """The difference of two scores."""

    against: Any

    @property
    def count(self) -> int:
        """K."""
        return max(self.of.count, self.against.count)

    @property
    def complaint(self) -> str:
        """What `bad` says."""
        return self.of.complaint or self.against.complaint

    @property
    def softmax(self) -> str:
        """That of one of its sides."""
        return self.of.softmax or self.against.softmax

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
