"""What kind of function an equation is of those inputs that change: linear, affine, bilinear, a selection."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum

from jax.extend import core

from camjax.trace._follow import ELEMENTWISE
from camjax.trace._program import Atom, Equation, Value, is_float

MOVES = frozenset(
    {"reshape", "transpose", "squeeze", "expand_dims", "broadcast_in_dim", "slice", "rev", "copy", "copy_p", "split"}
)
"""What only moves entries, whatever their dtype."""

POINTWISE = frozenset(name for name in ELEMENTWISE if not name.startswith("cum"))
"""What is computed entry by entry."""

_LINEAR = MOVES | {"neg", "add_any", "reduce_sum", "cumsum", "reduce_window_sum", "gather", "dynamic_slice"}
_LINEAR |= {"real", "imag", "optimization_barrier", "device_put", "sharding_constraint", "fft"}
_AFFINE = frozenset(
    {"add", "sub", "concatenate", "pad", "dynamic_update_slice", "scatter-add", "scatter_add", "scatter"}
)
_BILINEAR = frozenset({"mul", "dot_general", "conv_general_dilated"})
_SELECTIONS = frozenset(
    {"max", "min", "reduce_max", "reduce_min", "reduce_window_max", "reduce_window_min", "cummax", "cummin"}
)


class Kind(Enum):
    """Of an equation, in its inputs that change together, all others being fixed."""

    LINEAR = "J z"
    AFFINE = "J z + c"
    BILINEAR = "a * b"
    SELECTION = "one of its inputs, the largest or the smallest"
    OTHER = "f(z)"


def moving(e: Equation, changing: Collection[Value]) -> list[int]:
    """The numbers of the inputs of an equation that change."""
    return [i for i, atom in enumerate(e.inputs) if isinstance(atom, Value) and atom in changing]


def kind(e: Equation, changing: Collection[Value]) -> Kind:
    """The kind of an equation whose inputs in `changing` change.

    Only floating values can change linearly; an equation that reads a changing index or predicate is OTHER.
    """
    inputs = moving(e, changing)
    if not all(is_float(e.inputs[i]) for i in inputs) or not all(map(is_float, e.outputs)):
        return Kind.OTHER
    if e.name == "convert_element_type" or e.name in _LINEAR or (e.name == "div" and inputs == [0]):
        return Kind.LINEAR
    if e.name in _BILINEAR:
        return Kind.LINEAR if len(inputs) == 1 else Kind.BILINEAR
    if e.name in _AFFINE or e.name == "select_n":
        own = [i for i, atom in enumerate(e.inputs) if is_float(atom) and not is_number(atom, 0)]
        return Kind.LINEAR if own == inputs else Kind.AFFINE
    fixed = len(e.inputs) - len(inputs)
    if e.name in _SELECTIONS and fixed == 0:
        return Kind.SELECTION
    return Kind.OTHER


def homogeneous(e: Equation, changing: Collection[Value]) -> bool:
    """Whether f(t z) = t f(z) for t > 0, so that f(z) = J z: a ReLU, a maximum, an absolute value."""
    if kind(e, changing) in (Kind.LINEAR, Kind.SELECTION) or e.name == "abs":
        return True
    return e.name in ("max", "min") and any(is_number(atom, 0) for atom in e.inputs)


def is_number(atom: Atom, number: float) -> bool:
    """Whether an atom is a literal number."""
    return isinstance(atom, core.Literal) and getattr(atom.val, "ndim", 0) == 0 and bool(atom.val == number)
