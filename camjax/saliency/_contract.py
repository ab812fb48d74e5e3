"""The contract of a method in input space, and what it returns for a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import jax.numpy as jnp

from camjax.methods._contract import About

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int


class Saliency:
    """The contract, for those who write their own: a frozen dataclass that overrides what differs from the gradient.

    Everything is for **one example**, whose `x` has the input's structure without a batch axis, None in the place
    of every leaf that is not floating, and the others in float32 or wider. The gradients of all K targets are taken
    at the same points.
    """

    rule: ClassVar[str | None] = None
    """The backward rule at every ReLU: "guided", "deconvnet", or None for the model's own derivative."""
    random: ClassVar[bool] = False
    """Whether `point` draws random numbers."""
    spread: ClassVar[bool] = False
    """Whether `values` needs the gradients' variance."""
    remedy: ClassVar[str] = ""
    """What to do about values that are `incomplete`, for the warning."""
    about: ClassVar[About]

    @property
    def points(self) -> int:
        """At how many points the gradient is taken."""
        return 1

    def point(self, x: Any, key: Any, i: Int[Array, ""] | int) -> Any:
        """The point number `i`; `key` depends on the caller's key and on the example's id alone."""
        return x

    def values(self, x: Any, mean: Any, variance: Any) -> Any:
        """The attribution, from the mean of the gradients over the points, and their variance with `spread`."""
        return mean

    def incomplete(
        self, x: Any, values: Any, score: Float[Array, ""], score_at: Callable[[Any], Float[Array, ""]]
    ) -> Bool[Array, ""]:
        """Whether the values do not add up as they should, for methods that promise it."""
        return jnp.bool_(False)


class Attribution(NamedTuple):
    """Attributions for a batch; a pytree. `camjax.attribute` drops the axis K unless the target had one.

    Attributes:
        values: the structure of the input, each leaf `[B, K, *its own shape]`, signed, float32 or wider; None in the
            place of leaves that are not floating (tokens, masks), which have no gradient.
        score: `[B, K]`, the explained scores.
        target: `[B, K]`, int32, the class each score is about; -1 for a callable target.
        status: `[B, K]`, int32, a sum of `camjax.Status` flags; EMPTY where a backward rule lets nothing through.
    """

    values: Any
    score: Float[Array, "B K"]
    target: Int[Array, "B K"]
    status: Int[Array, "B K"]


def check_count(method: Any, name: str, least: int) -> None:
    """That a field which counts is an int of at least `least`."""
    got = getattr(method, name)
    if isinstance(got, bool) or not isinstance(got, int) or got < least:
        raise ValueError(f"{type(method).__name__}: {name} must be an int of at least {least}, got {got!r}.")
