"""An output unit that is no class."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from camjax._target import Target, logits, pick, register_target
from camjax.targets._arrays import leading

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float


@register_target(["unit"], [])
@dataclasses.dataclass(frozen=True)
class Unit(Target):
    """The value of an output unit; `unit` has the axes `[B or 1, K]`."""

    unit: Any

    @property
    def complaint(self) -> str:
        """What `bad` says."""
        return "targets.regression: the model has no such output unit"

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With both axes."""
        array, keep = leading("targets.regression: unit", self.unit, batch, "", 0, jnp.integer)
        return Unit(array), keep

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        return pick(logits(outputs), jnp.asarray(self.unit))

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        """Whether there is no such unit."""
        return (self.unit < 0) | (self.unit >= logits(outputs).shape[0])


def regression(unit: Any = 0) -> Target:
    """The value of an output unit, y_u: a regression, where no class competes with another.

    What raises the value is positive in the map; `negated(regression())` shows what lowers it.

    Args:
        unit: which one: an index, `[B]`, `[B, K]` or `[1, K]` of them.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2, 3)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2, 3)))
    >>> camjax.explain(model, jnp.ones((1, 2, 2, 4)), regression(), layer=split).score
    Array([1.], dtype=float32)

    Raises:
        ValueError: when `unit` is no integer of these shapes or no unit of the model, at `explain`.
    """
    return Unit(unit)
