"""Layers by name: which values leave one call of a named scope."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Hashable, Sequence
from typing import NamedTuple

from camjax.trace._numbers import interpolates
from camjax.trace._program import Atom, Equation, Frame, Iteration, Program, Value, is_float, reached


class Uses(NamedTuple):
    """Who reads what.

    Attributes:
        dependent: the values that depend on the model's input.
        weights: for every other value, the numbers of the parameters and captured arrays it is made from.
        readers: for each value, the numbers of the equations that read it; -1 stands for the model's outputs.
    """

    dependent: set[Value]
    weights: dict[Value, frozenset[int]]
    readers: dict[Value, list[int]]


def uses(program: Program, equations: Sequence[Equation]) -> Uses:
    """One forward pass over `equations` that collects who reads what."""
    dependent = reached(equations, program.inputs)
    arrays = [*program.params, *(value for value, array in program.consts.items() if not interpolates(array))]
    weights = {value: frozenset({i}) for i, value in enumerate(arrays)}
    readers: dict[Value, list[int]] = defaultdict(list)
    for number, equation in enumerate(equations):
        for value in equation.values:
            readers[value].append(number)
        if dependent.isdisjoint(equation.outputs):
            roots: frozenset[int] = frozenset().union(*(weights.get(v, frozenset()) for v in equation.values))
            weights.update(dict.fromkeys(equation.outputs, roots))
    for atom in program.outputs:
        if isinstance(atom, Value):
            readers[atom].append(-1)
    return Uses(dependent, weights, readers)


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    """A value and one name that addresses it.

    `trunk`: the scope also holds the model's first layer, so that its name says little about which layer it ends in.
    """

    name: str
    value: Value
    iterations: tuple[Iteration, ...] = ()
    trunk: bool = False


def places(equations: Sequence[Equation], use: Uses, maps: Collection[Value] = ()) -> list[Place]:
    """Every name of every value that leaves a scope, in the order in which the values are computed.

    A value that leaves call 1 of the scope `block` is `block#1`, or `block` where there is one call only;
    several values that leave one call are `block:0`, `block:1`. A value that is made after `block`, in a
    part of the parent that belongs to no scope of its own, is `after:block`; where such a part only hands on
    what it has pooled or flattened, that is the last of `maps` in it, which can be explained.
    """
    calls = _calls(equations, use)
    last_call = {path: max(n for p, n, _ in row if p == path) for row in calls for path, _, _ in row}
    members: dict[Hashable, list[int]] = defaultdict(list)
    titles: dict[Hashable, tuple[str, tuple[Iteration, ...]]] = {}
    between: set[Hashable] = set()
    last_inside: dict[Hashable, Hashable] = {}  # for a scope's call, its inner call that ended last
    for number, row in enumerate(calls):
        for path, call, iterations in row:
            key = (path, call, iterations)
            members[key].append(number)
            titles[key] = (f"{path}#{call}" if last_call[path] else path, iterations)
        owner = row[-1] if row else ()
        if equations[number].folded:
            continue
        for outer, inner in zip(((), *row), row, strict=False):
            last_inside[outer] = inner
        if owner in last_inside:
            scope, frames = last_inside[owner], equations[number].frames
            iterations = frames[-1].iterations if frames else ()
            key = ("after", scope, owner, iterations)
            members[key].append(number)
            titles[key] = (f"after:{titles[scope][0]}", iterations)
            between.add(key)
    found = []
    first = next((n for n, equation in enumerate(equations) if _weights_read(equation, use)), None)
    for key, numbers in members.items():
        inside = set(numbers)
        leaving = [
            value
            for number in numbers
            for value in equations[number].outputs
            if value in use.dependent and is_float(value) and not inside.issuperset(use.readers[value])
        ]
        if key in between and not any(value in maps for value in leaving):
            # What is cast for a sum in float32 is the layer before it, no other map.
            makers = (equations[number] for number in numbers if equations[number].name != "convert_element_type")
            inner = [value for equation in makers for value in equation.outputs if value in maps]
            leaving = inner[-1:] or leaving
        title, iterations = titles[key]
        suffix = "".join(f"[{i.at}]" for i in iterations)
        for i, value in enumerate(leaving):
            several = f":{i}" if len(leaving) > 1 else ""
            found.append(Place(f"{title}{several}{suffix}", value, iterations, first in inside))
    order = {value: n for n, equation in enumerate(equations) for value in equation.outputs}
    return sorted(found, key=lambda place: order[place.value])


def silent(program: Program, equations: Sequence[Equation]) -> list[tuple[str, Atom]]:
    """The scopes that compute nothing, with the value that they hand on."""
    busy = {frame.path for equation in equations for frame in equation.frames}
    return [(frames[-1].path, atom) for frames, atom in program.silent if frames and frames[-1].path not in busy]


_Call = tuple[str, int, tuple[Iteration, ...]]  # a scope's path, the number of the call, the iterations


def _calls(equations: Sequence[Equation], use: Uses) -> list[tuple[_Call, ...]]:
    """For each equation, the calls of scopes that it lies in, outermost first."""
    # Where adapters name modules, whatever the framework or jnp.einsum leave on the name stack is noise.
    absolute = any(frame.call for equation in equations for frame in equation.frames)
    numbers: dict[str, dict[Hashable, int]] = defaultdict(dict)
    first_read: dict[Frame, tuple[Hashable, Equation]] = {}
    restarts: dict[Frame, int] = defaultdict(int)
    rows: list[tuple[_Call, ...]] = []
    for equation in equations:
        row: list[_Call] = []
        read = _weights_read(equation, use)
        for frame in equation.frames:
            if not frame.path or (absolute and not frame.call):
                continue
            # Two calls of a plain scope look like one; the second begins by reading the first's first weight.
            if not absolute and read:
                what, where = first_read.setdefault(frame, (read, equation))
                restarts[frame] += what == read and where is not equation
            call = (frame.call, restarts[frame], tuple(i.scan for i in frame.iterations))
            known = numbers[frame.path]
            row.append((frame.path, known.setdefault(call, len(known)), frame.iterations))
        rows.append(tuple(row))
    return rows


def _weights_read(equation: Equation, use: Uses) -> Hashable:
    """What an equation that depends on the input reads of the parameters; nothing for any other equation."""
    if use.dependent.isdisjoint(equation.values):
        return None
    roots = [(use.weights[v], v.shape) for v in equation.values if use.weights.get(v)]
    return (equation.name, *roots) if roots else None
