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
_ENTRIES = POINTWISE | MOVES


def averaged(equations: Iterable[Equation], long: Callable[[Equation], bool]) -> set[Value]:
    """What `long` equations compute, entries changed one by one, that a reduction reads and something else, too."""
    equations = list(equations)
    readers = collections.Counter(value for e in equations for value in e.values)
    reduced = {value for e in equations if e.name in REDUCTIONS for value in e.values}
    sums: set[Value] = set()
    for e in equations:
        if long(e) or (e.name in _ENTRIES and any(v in sums and readers[v] == 1 for v in e.values)):
            sums.update(e.outputs)
    return {value for value in sums & reduced if readers[value] > 1 and is_float(value)}


@jax.custom_jvp
def once(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """x itself, computed once: XLA computes nothing again that depends on several arrays, for which it takes this."""
    return lax.clamp(x, x, jnp.array(jnp.inf, x.dtype))


@once.defjvp
def _(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    return once(*primals), tangents[0]
