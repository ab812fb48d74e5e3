"""The layer that is explained when none is named."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from camjax.trace._grid import Grids
from camjax.trace._program import Atom, Equation, Program, Value, is_float, live, reached
from camjax.trace._scopes import Uses


def default(
    program: Program,
    equations: Sequence[Equation],
    use: Uses,
    grids: Grids,
    named: Collection[Value],
    hidden: Collection[Value],
) -> Value | None:
    """The newest value on which a class-activation map is defined and complete; None where there is none.

    Newest first, the value for which

    (a) the whole grid and one channel axis are known,
    (b) every position of the grid influences the outputs,
    (c) the channels are next contracted, whole, with a weight, and
    (d) nothing else that carries the grid reaches the head.

    Models without a head have no value with (c), and some none with (d): then these are dropped, in this
    order. Values inside of a custom derivative (`hidden`) come last, since to explain one bypasses that
    derivative, and values that have a name (`named`) come before those that have none.
    """
    living = grids.live_dims(range(-1, len(equations)))
    numbers = {equation: number for number, equation in enumerate(equations)}
    candidates = [
        value
        for equation in reversed(equations)
        for value in reversed(equation.outputs)
        if value in use.dependent
        and is_float(value)
        and grids.axes(value) is not None
        and grids.channel_dim(value) is not None
        and grids.pure(value)
        and all((value, dim) in living for dim in grids.dims(value))
    ]
    candidates.sort(key=lambda value: (value in hidden, value not in named))  # stable: newest first among equals
    for needs_weight, needs_alone in ((True, True), (False, True), (True, False), (False, False)):
        for value in candidates:
            if needs_weight and not contracted(value, use, grids):
                continue
            if needs_alone and not alone(program, equations, numbers, value, grids):
                continue
            return value
    return None


def contracted(value: Value, use: Uses, grids: Grids) -> bool:
    """Condition (c): wherever the channels go, what first sums over them is a product with a weight.

    Statistics over the channels (the mean and variance of a layer normalisation) are not counted.
    """
    start = grids.channel_dim(value)
    if start is None:
        return False
    queue, seen, weighted = [(value, start)], {(value, start)}, False
    while queue:
        at, dim = queue.pop()
        for number in use.readers[at]:
            if number == -1:
                continue  # handed out beside the class scores, as pooled features are
            equation = grids.equations[number]
            if equation.name in ("conv_general_dilated", "dot_general"):
                verdict = _weight_sums(equation, at, dim, grids)
                if verdict is False:
                    return False
                if verdict:
                    weighted = True
                    continue
            goes = grids.carried(number, at, dim)
            if any(out.shape[d] != at.shape[dim] and equation.name in ("slice", "split", "gather") for out, d in goes):
                return False  # not whole
            new = [step for step in goes if step not in seen]
            seen.update(new)
            queue.extend(new)
    return weighted


def _weight_sums(equation: Equation, value: Value, dim: int, grids: Grids) -> bool | None:
    """Whether a product sums over `dim` of `value` with a weight; None where it does not sum over it."""
    if equation.name == "conv_general_dilated":
        if equation.inputs[0] is not value or equation.params["dimension_numbers"].lhs_spec[1] != dim:
            return None
        return equation.params["feature_group_count"] == 1 and grids.follow.weighted(equation.inputs[1])
    contracts = equation.params["dimension_numbers"][0]
    sides = [i for i, atom in enumerate(equation.inputs) if atom is value and dim in contracts[i]]
    return all(grids.follow.weighted(equation.inputs[1 - i]) for i in sides) if sides else None


def alone(
    program: Program,
    equations: Sequence[Equation],
    numbers: Mapping[Equation, int],
    value: Value,
    grids: Grids,
) -> bool:
    """Condition (d): with `value` planted, nothing else with a live part of the grid reaches the outputs."""
    head, frontier = behind(program, equations, value)
    living = grids.live_dims({-1, *(numbers[e] for e in head)})
    return not any((other, dim) in living for other in frontier if other in grids.layouts for dim in grids.dims(other))


def behind(program: Program, equations: Sequence[Equation], value: Value) -> tuple[list[Equation], list[Value]]:
    """The equations between `value` and the outputs, and all else that they read, parameters too."""
    after = reached(equations, [value]) - {value}
    outputs: list[Atom] = [atom for atom in program.outputs if isinstance(atom, Value) and atom in after | {value}]
    needed = live([e for e in equations if value not in e.outputs], outputs)
    head = [e for e in needed if not after.isdisjoint(e.outputs)]
    read = dict.fromkeys(v for e in head for v in e.values if v not in after and v is not value)
    return head, list(read)
