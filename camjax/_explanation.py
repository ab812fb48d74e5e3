"""What an explanation is: the maps, the scores they explain, and what went wrong."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int


class Status(enum.IntFlag):
    """What is to be known about one map; a sum of flags, 0 where all is well.

    >>> Status(3)
    <Status.EMPTY|ZERO_GRADIENT: 3>
    """

    EMPTY = 1
    """The raw map has no positive value: nothing in the picture speaks for the target. The heatmap is all zero."""
    ZERO_GRADIENT = 2
    """The score does not depend on the layer: every gradient is exactly zero."""
    NON_FINITE = 4
    """NaN in the input, or a NaN or an infinity in the score or in the raw map."""
    BAD_TARGET = 8
    """The class index is not a class of the model: the score is NaN, the map is zero."""
    PROBABILITIES = 16
    """The scores of the classes sum to one: probabilities were explained, where logits were expected."""
    NOT_APPLICABLE = 32
    """The method does not apply to this model at this layer; the method says why."""
    INCOMPLETE = 64
    """The values do not add up to the score as they should (`camjax.saliency.IntegratedGradients`)."""


class Explanation(NamedTuple):
    """Class-activation maps for a batch; a pytree, so that it can leave `jax.jit` and enter `jax.tree.map`.

    Written for `explainer`; `explain` drops the axis K unless the target had one. All floating arrays are
    float32, or float64 where the model's are.

    Attributes:
        heatmap: `[B, K, *size]`, values from 0 to 1 (with `normalize="max"`), at the size of the input or the
            size asked for; None with `size=None`.
        raw: `[B, K, *space]`, the coarse map at the layer's resolution before ReLU and normalisation. Its values
            can be compared between pictures and targets.
        weights: `[B, K, C]`, the weight of each channel, for methods that have them; else None.
        score: `[B, K]`, the explained scores.
        target: `[B, K]`, int32, the class each score is about; -1 for a callable target.
        status: `[B, K]`, int32, a sum of `Status` flags.

    An explanation that is the last value of a notebook's cell shows itself as a picture (needs `camjax[cli]`).
    """

    heatmap: Float[Array, "B K *size"] | None
    raw: Float[Array, "B K *space"]
    weights: Float[Array, "B K C"] | None
    score: Float[Array, "B K"]
    target: Int[Array, "B K"]
    status: Int[Array, "B K"]

    def _repr_png_(self) -> bytes | None:
        from camjax import plot  # an extra's code: imported only when a notebook asks for a picture

        return plot.notebook_png(self)
