"""The two classes of a model with one output unit."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from camjax._target import Target, describe, logits, register_target
from camjax.targets._arrays import leading

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@register_target(["positive"], [])
@dataclasses.dataclass(frozen=True)
class Binary(Target):
    """The one unit, or its negative; `positive` has the axes `[B or 1, K]`."""

    positive: Any

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With both axes."""
        positive = self.positive
        if np.ndim(positive) == 1:
            positive = jnp.asarray(positive)
        array, keep = leading("targets.binary: positive", positive, batch, "", 0)
        return Binary(array), keep

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        scores = logits(outputs)
        if scores.shape[0] != 1:
            raise ValueError(
                f"targets.binary: one example's outputs are {describe(outputs)}, expected one number; with a unit for "
                "each class give the class itself, target=0 or target=1."
            )
        return jnp.where(self.positive.astype(bool), scores[0], -scores[0])


def binary(positive: Any = True) -> Target:
    """A model with one logit or one sigmoid unit: z for the positive class, -z for the negative one.

    The logit of the negative class is -z, because 1 - sigmoid(z) = sigmoid(-z). A final sigmoid is taken off the
    model like a softmax; with `scores="outputs"` the scores are p and -p, which has the gradient of 1 - p.

    Args:
        positive: True or False; `[B]`, `[B, K]` or `[1, K]` of them for other examples' or both classes.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> camjax.explain(model, jnp.ones((1, 2, 2, 1)), binary([[True, False]]), layer=split).score
    Array([[ 1., -1.]], dtype=float32)

    Raises:
        ValueError: at `explain`, when the model has more than one output unit, or `positive` another shape.
    """
    return Binary(positive)
