"""Attention in a program, wherever it comes from: a softmax between two products.

O = P V,        P = softmax(Q K^T), perhaps scaled, biased or masked in between
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from camjax.trace._grid import Grids
from camjax.trace._program import Atom, Equation, Program, Value, live, shape_of
from camjax.trace._tails import Finder


class Operand(NamedTuple):
    """An array of an attention, and which of its dimensions are heads, tokens, and what is left."""

    value: Value
    heads: tuple[int, ...]
    tokens: tuple[int, ...]
    others: tuple[int, ...]

    def of(self, array: Any) -> Any:
        """The array as `[heads, tokens, others]`; only moves entries."""
        shape = [math.prod(array.shape[d] for d in dims) for dims in (self.heads, self.tokens, self.others)]
        return array.transpose((*self.heads, *self.tokens, *self.others)).reshape(shape)

    @property
    def length(self) -> int:
        """The number of tokens."""
        return math.prod(self.value.shape[d] for d in self.tokens)


class Block(NamedTuple):
    """One attention: its queries, keys and values, the probabilities `[heads, query, key]`, and the result O = P V."""

    query: Operand
    key: Operand
    value: Operand
    probability: Operand
    output: Operand


def find(program: Program, equations: Sequence[Equation], grids: Grids) -> list[Block]:
    """Every attention among the live `equations` of a flat program, in the order in which they are computed.

    Between the first product and the softmax, and between that and the second, may stand whatever acts entry by entry
    or moves entries, and mixtures with weights (talking heads). A softmax over classes, experts or channels is none:
    the first product must be one of two arrays that depend on the input, whose free dimensions become the softmax's
    queries and keys. Probabilities are taken where the second product reads them.
    """
    finder = Finder(program, equations)
    blocks = []
    for e in equations:
        if e.name != "dot_general" or not all(_depends(finder, atom) for atom in e.inputs):
            continue
        for side in (0, 1):
            logits = _softmax_of(finder, e.inputs[side])
            scores = None if logits is None else _product(finder, logits)
            block = None if scores is None else _block(e, side, scores, equations, grids)
            if block is not None:
                blocks.append(block)
                break
    return blocks


def _softmax_of(finder: Finder, atom: Atom) -> Atom | None:
    """The logits of the softmax that `atom` comes from, by whatever has one changing input."""
    while True:
        tail = finder.tail(atom)
        if tail is not None and tail.kind == "softmax":
            return tail.logits
        e = finder.of(atom)
        inputs = [] if e is None else _changing(finder, e)
        if len(inputs) != 1:
            return None
        atom = inputs[0]


def _product(finder: Finder, atom: Atom) -> Equation | None:
    """The product of two arrays, both changing, that `atom` comes from, where biases may have been added."""
    e = finder.of(atom)
    if e is None:
        return None
    if e.name == "dot_general" and all(_depends(finder, a) for a in e.inputs):
        return e
    inputs = _changing(finder, e)
    if len(inputs) > 1 and e.name not in ("add", "add_any"):
        return None
    return next((found for a in inputs if (found := _product(finder, a)) is not None), None)


def _changing(finder: Finder, e: Equation) -> list[Value]:
    atoms = e.inputs[1:] if e.name == "select_n" else e.inputs  # a mask may depend on the input
    return list(dict.fromkeys(a for a in atoms if isinstance(a, Value) and a in finder.dependent_on_input))


def _depends(finder: Finder, atom: Atom) -> bool:
    return isinstance(atom, Value) and atom in finder.dependent_on_input


def _block(e: Equation, side: int, scores: Equation, equations: Sequence[Equation], grids: Grids) -> Block | None:
    """The attention whose second product `e` reads its probabilities on `side`, if `scores` is its first."""
    P, V = e.inputs[side], e.inputs[1 - side]
    assert isinstance(P, Value)
    assert isinstance(V, Value)
    batch, summed, free = (part[side] for part in _dims(e))
    before = {v for made in live(equations, [P]) for v in made.outputs}
    # Which of P's dimensions the free dimensions of the first product have become.
    first, _, own = _dims(scores)
    at, ends = len(first[0]), []
    for dims in own:
        ends.append({end for d in range(at, at + len(dims)) for end in _ends(grids, scores.outputs[0], d, P, before)})
        at += len(dims)
    sides = [i for i in (0, 1) if ends[i] and ends[i] <= set(summed) and ends[1 - i] & set(free)]
    if not sides:
        return None
    k = sides[0]
    keys = math.prod(P.shape[d] for d in summed)
    rows = _tokens(P, free, keys, grids)
    where = {d: len(batch) + n for n, d in enumerate(free)}  # in the second product's result, P's dimensions first
    other = [len(batch) + len(free) + n for n in range(len(_dims(e)[2][1 - side]))]
    if side == 1:
        where = {d: n + len(other) for d, n in where.items()}
        other = [n - len(free) for n in other]
    groups = tuple(d for d in free if d not in rows)
    v_batch, v_summed, v_free = (part[1 - side] for part in _dims(e))
    result = Operand(
        e.outputs[0],
        (*range(len(batch)), *(where[d] for d in groups)),
        tuple(where[d] for d in rows),
        tuple(other),
    )
    return Block(
        query=_side(scores, 1 - k, keys, grids),
        key=_side(scores, k, keys, grids),
        value=Operand(V, v_batch, v_summed, v_free),
        probability=Operand(P, (*batch, *groups), rows, summed),
        output=result,
    )


def _side(e: Equation, side: int, count: int, grids: Grids) -> Operand:
    """An operand of the first product: heads, tokens, channels."""
    batch, summed, free = (part[side] for part in _dims(e))
    value = e.inputs[side]
    assert isinstance(value, Value)
    tokens = _tokens(value, free, count, grids)
    return Operand(value, (*batch, *(d for d in free if d not in tokens)), tokens, summed)


def _tokens(value: Value, free: Sequence[int], count: int, grids: Grids) -> tuple[int, ...]:
    """Those of the free dimensions that are tokens; heads that share a key may stand beside them."""
    long = [d for d in free if value.shape[d] != 1]
    if len(long) > 1:
        space = [d for d in long if d in grids.dims(value)]
        long = space or [d for d in long if value.shape[d] == count][:1] or long
    return tuple(d for d in free if d in long) or tuple(free[:1])


def _ends(grids: Grids, start: Value, dim: int, goal: Value, between: set[Value]) -> set[int]:
    """Where dimension `dim` of `start` goes in `goal`, by way of the values `between`."""
    queue, seen = [(start, dim)], {(start, dim)}
    found: set[int] = set()
    while queue:
        at, d = queue.pop()
        if at is goal:
            found.add(d)
            continue
        for number in grids.use.readers[at]:
            steps = [] if number == -1 else grids.carried(number, at, d)
            new = [s for s in steps if s[0] in between and s not in seen]
            seen.update(new)
            queue += new
    return found


def _dims(e: Equation) -> tuple[Any, Any, Any]:
    """Of a product's two operands: the batch dimensions, those summed over, those that are free."""
    summed, batch = e.params["dimension_numbers"]
    free = tuple(
        tuple(d for d in range(len(shape_of(atom))) if d not in (*summed[i], *batch[i]))
        for i, atom in enumerate(e.inputs)
    )
    return tuple(map(tuple, batch)), tuple(map(tuple, summed)), free
