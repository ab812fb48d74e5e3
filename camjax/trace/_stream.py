"""The residual stream: what a block of a transformer hands on to all that follows."""

from __future__ import annotations

from collections.abc import Sequence

from camjax.trace._attention import Block
from camjax.trace._grid import Grids
from camjax.trace._program import Atom, Equation, Value, live, reached


def bottlenecks(equations: Sequence[Equation], start: Value, sinks: Sequence[Atom]) -> list[Value]:
    """The values through which every path from `start` to the `sinks` leads, in order."""
    equations = live(equations, sinks)
    last = {v: n for n, e in enumerate(equations) for v in e.values}
    last.update((atom, len(equations)) for atom in sinks if isinstance(atom, Value))
    open_, found = {start}, []
    reach = {start}
    for n, e in enumerate(equations):
        if reach.isdisjoint(e.values):
            continue
        reach.update(e.outputs)
        open_ = {v for v in (*open_, *e.outputs) if last.get(v, -1) > n}
        if len(open_) == 1 and not open_.isdisjoint(e.outputs):
            found += open_
    return found


def streams(
    equations: Sequence[Equation], outputs: Sequence[Atom], grids: Grids, blocks: Sequence[Block]
) -> list[Value | None]:
    """For each block the residual stream behind it: the last sum in it that all paths from its attention go through.

    A sum of two values that depend on the input, over all tokens, made before the next attention reads any of it. Of
    outputs that carry tokens themselves (hidden states, attention maps) it is not asked that they come from there,
    unless there are no others.
    """
    count = blocks[0].probability.length
    sinks = [a for a in outputs if isinstance(a, Value) and not token_dims(a, count, grids)]
    sinks = sinks or [a for a in outputs if isinstance(a, Value)]
    sums = {
        v
        for e in equations
        if e.name in ("add", "add_any") and all(isinstance(a, Value) and a in grids.use.dependent for a in e.inputs)
        for v in e.outputs
        if token_dims(v, count, grids)
    }
    found: list[Value | None] = []
    for number, block in enumerate(blocks):
        later = blocks[number + 1 :][:1]
        beyond = reached(equations, [later[0].probability.value]) if later else set()
        through = bottlenecks(equations, block.probability.value, sinks)
        found.append(next((v for v in reversed(through) if v in sums and v not in beyond), None))
    return found


def token_dims(value: Value, count: int, grids: Grids) -> tuple[int, ...]:
    """The dimensions of a value that hold all `count` tokens; none where they are not there, or not known."""
    if grids.known:
        dims = grids.dims(value) if value in grids.layouts else []
        size = 1
        for d in dims:
            size *= value.shape[d]
        return tuple(dims) if size == count else ()
    dims = [d for d, n in enumerate(value.shape) if n == count]
    return tuple(dims) if len(dims) == 1 else ()
