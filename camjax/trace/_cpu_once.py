"""What a CPU computes once for all that read it: the sum of a depthwise convolution where that is averaged, too.

XLA computes again, in each loop that reads it, what depends entry by entry on one array. With a bias added, that
held for the sums of the 49 taps of ConvNeXt: one was computed for the mean over the channels, one for the variance and
one for the entries that are normalised.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

from camjax.trace._kinds import MOVES, POINTWISE
from camjax.trace._program import Equation, Value, is_float

if TYPE_CHECKING:
    from jaxtyping import Array, Float

REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min")


def averaged(equations: Iterable[Equation], long: Callable[[Equation], bool]) -> set[Value]:
    """What `long` equations compute, entries changed one by one, that a reduction reads and something else, too."""
    equations = list(equations)
    readers = collections.Counter(value for e in equations for value in e.values)
    reduced = {value for e in equations if e.name in REDUCTIONS for value in e.values}
    kept: set[Value] = set()
    sums: set[Value] = set()
    for e in equations:
        if not (long(e) or (sums.intersection(e.values) and _passes_on(e))):
            continue
        for value in filter(is_float, e.outputs):
            (kept if value in reduced and readers[value] > 1 else sums).add(value)
    return kept


def _passes_on(e: Equation) -> bool:
    # A call with a derivative of its own that keeps the shape is a ReLU and its kin; a softmax does no harm here.
    own = e.name == "custom_jvp_call" and [v.shape for v in e.values] == [v.shape for v in e.outputs]
    return own or e.name in POINTWISE | MOVES


@jax.custom_jvp
def once(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x itself, computed once: XLA computes nothing again that depends on several arrays, for which it takes this."""
    return lax.clamp(x, x, jnp.array(jnp.inf, x.dtype))


@once.defjvp
def _(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    return once(*primals), tangents[0]
