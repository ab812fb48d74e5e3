"""Only what the outputs read of each value: behind a transformer's last attention, the class token.

XLA computes arrays whole, and reads one token of them. Here each value has a box, one range per axis, that holds all
that is read of it; equations are rewritten so that they compute the box alone, and so do their derivatives.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
from jax import lax

from camjax.trace._kinds import POINTWISE
from camjax.trace._program import Atom, Equation, Value, shape_of

Box = tuple[tuple[int, int], ...]
"""Of each axis: the first entry, and the one behind the last."""

Rule = Callable[[Equation, Box], "tuple[list[Box], dict[str, Any]] | None"]
"""The boxes of the inputs from which a box of the output is computed, and what changes in the equation's parameters;
None where that needs more of the inputs than the rule knows of."""


def narrow(equations: Sequence[Equation], outputs: Iterable[Atom]) -> list[Equation]:
    """Equations that compute the same `outputs`, and of all else only what these read, where that can be told.

    It is told through what is computed entry by entry or summed, products, and what moves entries; of what stands in
    front of anything else (a convolution, a loop, a call with a derivative of its own) all is computed, and so it is
    where more than half of an axis is read.
    """
    read: dict[Value, Box] = {atom: _whole(atom) for atom in outputs if isinstance(atom, Value)}
    plans: dict[Equation, _Plan | None] = {}
    for e in reversed(equations):
        plans[e] = plan = _plan(e, read)
        boxes = map(_whole, e.inputs) if plan is None else plan.reads
        for atom, box in zip(e.inputs, boxes, strict=True):
            if isinstance(atom, Value):
                read[atom] = _hull(read.get(atom, box), box)
    if all(plan is None or plan.box == _whole(e.outputs[0]) for e, plan in plans.items()):
        return list(equations)

    held: dict[Value, tuple[Value, Box]] = {}
    new: list[Equation] = []
    for e in equations:
        plan = plans[e]
        if plan is None:
            new.append(e)
            continue
        inputs: list[Atom] = []
        for atom, box in zip(e.inputs, plan.reads, strict=True):
            if isinstance(atom, Value):
                value, has = held.get(atom, (atom, _whole(atom)))
                if box != has:
                    within = [(a - start, b - start) for (a, b), (start, _) in zip(box, has, strict=True)]
                    new.append(_part(e, value, within))
                    (value,) = new[-1].outputs
                atom = value
            inputs.append(atom)
        (output,) = e.outputs
        if plan.box != _whole(output):
            output = Value(output.aval.update(shape=_sizes(plan.box)))
            held[e.outputs[0]] = output, plan.box
        eqn = e.eqn.replace(params={**e.params, **plan.changes})
        new.append(dataclasses.replace(e, eqn=eqn, inputs=tuple(inputs), outputs=(output,)))
    return new


class _Plan(NamedTuple):
    """The box of an equation's output that is computed, those of its inputs for it, and what its parameters become."""

    box: Box
    reads: list[Box]
    changes: dict[str, Any]


def _plan(e: Equation, read: dict[Value, Box]) -> _Plan | None:
    # None: the equation stays as it is.
    rule = _RULES.get(e.name)
    if rule is None or any(e.params.get(name) is not None for name in ("sharding", "out_sharding")):
        return None
    (output,) = e.outputs
    whole = _whole(output)
    box = tuple(
        span if 0 < 2 * (span[1] - span[0]) <= n else (0, n)
        for span, n in zip(read.get(output, whole), output.shape, strict=True)
    )
    if box == whole and e.name != "slice":  # which reads less than all, even if all of it is read
        return None
    if (found := rule(e, box)) is None:
        return None
    pairs = zip(e.inputs, found[0], strict=True)
    if any(not isinstance(atom, Value) and part != _whole(atom) for atom, part in pairs):
        return None
    return _Plan(box, *found)


def _whole(atom: Atom) -> Box:
    return tuple((0, n) for n in shape_of(atom))


def _part(e: Equation, value: Value, box: Sequence[tuple[int, int]]) -> Equation:
    starts, stops = zip(*box, strict=True)
    closed = jax.make_jaxpr(lambda x: lax.slice(x, starts, stops))(jax.ShapeDtypeStruct(value.shape, value.aval.dtype))
    (eqn,) = closed.eqns
    eqn = eqn.replace(ctx=e.eqn.ctx)  # where the model's own code put it
    return Equation(eqn, (value,), (Value(value.aval.update(shape=_sizes(tuple(box)))),), e.frames)


def _hull(one: Box, other: Box) -> Box:
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))


def _sizes(box: Box) -> tuple[int, ...]:
    return tuple(b - a for a, b in box)


def _pointwise(e: Equation, box: Box) -> tuple[list[Box], dict[str, Any]]:
    # Scalars, and axes of length 1, are repeated.
    return [
        tuple(
            span if n > 1 else (0, n)
            for span, n in zip(box[len(box) - len(shape_of(atom)) :], shape_of(atom), strict=True)
        )
        for atom in e.inputs
    ], {}


def _slice(e: Equation, box: Box) -> tuple[list[Box], dict[str, Any]]:
    p = e.params
    steps = p["strides"] or (1,) * len(box)
    spans = tuple(
        (lo + a * s, lo + max((b - 1) * s + 1, a * s))
        for (a, b), lo, s in zip(box, p["start_indices"], steps, strict=True)
    )
    sizes = _sizes(spans)
    return [spans], {"start_indices": (0,) * len(sizes), "limit_indices": sizes}


def _transpose(e: Equation, box: Box) -> tuple[list[Box], dict[str, Any]]:
    moved = e.params["permutation"]
    return [tuple(box[moved.index(axis)] for axis in range(len(box)))], {}


def _squeeze(e: Equation, box: Box) -> tuple[list[Box], dict[str, Any]]:
    gone, spans = e.params["dimensions"], iter(box)
    return [tuple((0, 1) if axis in gone else next(spans) for axis in range(len(shape_of(e.inputs[0]))))], {}


def _broadcast(e: Equation, box: Box) -> tuple[list[Box], dict[str, Any]]:
    axes, x = e.params["broadcast_dimensions"], shape_of(e.inputs[0])
    return [tuple(box[axis] if n > 1 else (0, n) for axis, n in zip(axes, x, strict=True))], {"shape": _sizes(box)}


def _reshape(e: Equation, box: Box) -> tuple[list[Box], dict[str, Any]] | None:
    # An axis that is narrowed must be one of the input's as well.
    old, new = shape_of(e.inputs[0]), e.outputs[0].shape
    spans = list(_whole(e.inputs[0]))
    if e.params["dimensions"] is not None:
        return None
    for axis, (span, n) in enumerate(zip(box, new, strict=True)):
        if span != (0, n):
            same = [i for i, m in enumerate(old) if m == n and math.prod(old[:i]) == math.prod(new[:axis])]
            if not same:
                return None
            spans[same[0]] = span
    return [tuple(spans)], {"new_sizes": _sizes(box)}


def _reduce(e: Equation, box: Box) -> tuple[list[Box], dict[str, Any]]:
    x, spans = shape_of(e.inputs[0]), iter(box)
    return [tuple((0, n) if axis in e.params["axes"] else next(spans) for axis, n in enumerate(x))], {}


def _dot(e: Equation, box: Box) -> tuple[list[Box], dict[str, Any]]:
    # An output's axes: those of both, then the left one's own, then the right one's.
    (contracted, batched) = e.params["dimension_numbers"]
    shared, at, boxes = box[: len(batched[0])], len(batched[0]), []
    for atom, summed, common in zip(e.inputs, contracted, batched, strict=True):
        spans = list(_whole(atom))
        for axis, span in zip(common, shared, strict=True):
            spans[axis] = span
        for axis in range(len(spans)):
            if axis not in summed and axis not in common:
                spans[axis] = box[at]
                at += 1
        boxes.append(tuple(spans))
    return boxes, {}


_RULES: dict[str, Rule] = {
    **dict.fromkeys(POINTWISE - {"sharding_constraint"}, _pointwise),
    **dict.fromkeys(("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"), _reduce),
    "slice": _slice,
    "transpose": _transpose,
    "squeeze": _squeeze,
    "broadcast_in_dim": _broadcast,
    "reshape": _reshape,
    "dot_general": _dot,
}
