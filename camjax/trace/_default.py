"""The layer that is explained when none is named."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from camjax.trace._channels import contracted, ends_in_classes, handed_out
from camjax.trace._grid import Grids
from camjax.trace._program import Atom, Equation, Program, Value, is_float, live, reached
from camjax.trace._scopes import Uses


class Default(NamedTuple):
    """The layer that is explained when none is named; `alone`: whether no other map reaches the outputs beside it.

    Maps from which it is computed are not meant: what passes it by, pooled, is an earlier layer's.
    """

    value: Value
    alone: bool


def default(
    program: Program,
    equations: Sequence[Equation],
    use: Uses,
    grids: Grids,
    named: Mapping[Value, Collection[str]],
    hidden: Collection[Value],
) -> Default | None:
    """The newest value on which a class-activation map is defined and complete; None where there is none.

    Newest first, the value for which

    (a) the whole grid and one channel axis are known,
    (b) every position of the grid influences the outputs,
    (c) the channels are next contracted, whole, with a weight, and
    (d) nothing else that carries the grid reaches the head.

    A model without a head hands the channels of its last map out instead of (c). Where no value has (c), or none
    (d), these are dropped, in this order. Values inside of a custom derivative (`hidden`) come last, since to
    explain one bypasses that derivative, and values that have a name before those that have none (`named`: the scopes
    that each value leaves). A module that only rearranges what a named one made is not the layer.
    """
    living = grids.live_dims(range(-1, len(equations)))
    numbers = {equation: number for number, equation in enumerate(equations)}
    candidates = [
        value
        for equation in reversed(equations)
        for value in reversed(equation.outputs)
        if value in use.dependent
        and is_float(value)
        and not equation.folded  # that is the layer of another iteration, which has a name there
        and grids.axes(value) is not None
        and grids.channel_dim(value) is not None
        and grids.pure(value)
        and all((value, dim) in living for dim in grids.dims(value))
    ]
    candidates.sort(key=lambda value: (value in hidden, value not in named))  # stable: newest first among equals

    def chosen(value: Value, complete: bool) -> Default:
        value = _unmoved(value, equations, {v: named[v] for v in candidates if v in named})
        related = {v for e in live(equations, [value]) for v in e.values} | reached(equations, [value]) | {*hidden}
        (leaf,) = {axis[1] for axis in grids.axes_of(value)}
        others = [axis for v, _ in living if v not in related for axis in grids.axes_of(v) if axis[1] == leaf]
        return Default(value, complete and not others)

    for value in candidates:
        if alone(program, equations, numbers, value, grids):
            if handed_out(value, grids) and not ends_in_classes(value, equations, grids):
                return chosen(value, True)
            break
    for needs_weight, needs_alone in ((True, True), (False, True), (True, False), (False, False)):
        for value in candidates:
            if needs_weight and not contracted(value, grids):
                continue
            if needs_alone and not alone(program, equations, numbers, value, grids):
                continue
            return chosen(value, needs_alone)
    return None


def _unmoved(value: Value, equations: Sequence[Equation], named: Mapping[Value, Collection[str]]) -> Value:
    """The named value that `value` only rearranges, unless a scope that `value` leaves made that one, too."""
    made_by = {output: equation for equation in equations for output in equation.outputs}
    at: Equation | None = made_by[value]
    while at is not None and at.name in ("transpose", "reshape", "squeeze", "copy", "slice"):
        (source,) = at.values
        at = made_by.get(source)
        if at is not None and named.get(source):
            if not {frame.path for frame in at.frames}.isdisjoint(named.get(value, ())):
                break
            value = source
    return value


def alone(
    program: Program,
    equations: Sequence[Equation],
    numbers: Mapping[Equation, int],
    value: Value,
    grids: Grids,
) -> bool:
    """Condition (d): with `value` planted, nothing else with a live part of the grid reaches the outputs."""
    head, frontier = behind(program, equations, value)
    carrying = {(other, dim) for other in frontier if other in grids.layouts for dim in grids.dims(other)}
    return not carrying or carrying.isdisjoint(grids.live_dims({-1, *(numbers[e] for e in head)}))


def behind(program: Program, equations: Sequence[Equation], value: Value) -> tuple[list[Equation], list[Value]]:
    """The equations between `value` and the outputs, and all else that they read, parameters too."""
    after = reached(equations, [value]) - {value}
    outputs: list[Atom] = [atom for atom in program.outputs if isinstance(atom, Value) and atom in after | {value}]
    needed = live([e for e in equations if value not in e.outputs], outputs)
    head = [e for e in needed if not after.isdisjoint(e.outputs)]
    read = dict.fromkeys(v for e in head for v in e.values if v not in after and v is not value)
    return head, list(read)
