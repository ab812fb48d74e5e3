"""The targets that laws ask for: combinations of class scores whose numbers are data, so that all share one program."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from camjax._target import Target, logits, register_target
from camjax.methods import CoarseMap, Method
from camjax.methods._contract import needs_of

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int


@register_target(["direction", "offset", "log", "index"], ["of_class"])
@dataclasses.dataclass(frozen=True)
class Score(Target):
    """S = direction . y + offset - log * logsumexp(y), for class scores y.

    Attributes:
        direction: `[1, 1, classes]`.
        offset: `[1, 1]`.
        log: `[1, 1]`; 1 makes the log-probability of a class of its logit.
        index: `[1, 1]`, the class that the score is about.
        of_class: whether it is about one; methods that compare probabilities ask for that.
    """

    direction: Any
    offset: Any
    log: Any
    index: Any
    of_class: bool

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """Itself; `explain` drops the axis K."""
        return self, False

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        y = logits(outputs)
        direction, offset, log = (jnp.asarray(v, y.dtype) for v in (self.direction, self.offset, self.log))
        return jnp.vdot(direction, y, precision="highest") + offset - log * jax.nn.logsumexp(y)

    def class_index(self) -> Int[Array, ""] | int:
        """The class."""
        return self.index.astype(jnp.int32) if self.of_class else -1


@dataclasses.dataclass(frozen=True)
class AsGiven:
    """A method that explains the score it is given, where the method itself would explain another (`retarget`)."""

    of: Method

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of the method inside."""
        return needs_of(self.of)

    @property
    def grid(self) -> str:
        """That of the method inside."""
        return getattr(self.of, "grid", "layer")

    def __call__(self, **given: Any) -> CoarseMap:
        """The coarse map of one example and one target, by the method inside."""
        return self.of(**given)
