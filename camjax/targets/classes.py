"""The class scores of a classifier: the best ones, and their probabilities."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax

from camjax._target import Target, Top, logits, pick, register_target
from camjax.targets._of import OfClass

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@register_target(["of"], [])
@dataclasses.dataclass(frozen=True)
class Probability(OfClass):
    """The softmax probability of a class."""

    @property
    def softmax(self) -> str:
        """Its name."""
        return "targets.probability"

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        return pick(jax.nn.softmax(logits(outputs)), self.class_index())


def top(k: int) -> Target:
    """The k highest-scoring classes of each example, best first; they need no second forward pass.

    >>> import camjax, jax.numpy as jnp
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

    Its gradient compares the class with all others, and vanishes where the model is sure. The softmax is taken here:
    of a model that ends in one, camjax takes the logits before it.

    >>> import camjax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> camjax.explain(model, jnp.ones((1, 2, 2, 4)), probability(3), layer=split).score
    Array([0.25], dtype=float32)

    Raises:
        ValueError: at `explain`, with `scores="outputs"`: a softmax of probabilities is none.
    """
    return Probability(target)
