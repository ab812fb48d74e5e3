"""What looks like a ReLU and is none: guards of roots, parts of other functions, ramps that start elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from camjax.trace._follow import ELEMENTWISE
from camjax.trace._look import CASTS, Look
from camjax.trace._moves import MOVES
from camjax.trace._program import Atom, Equation, Value, is_float, shape_of

_POINTWISE = frozenset(ELEMENTWISE)
_ROOTS = frozenset({"sqrt", "rsqrt", "cbrt", "log", "pow"})
_REDUCTIONS = ("reduce_", "argm", "cum")
_AFFINE = frozenset({"neg", "add", "sub", "mul", "div"})


def is_guard(look: Look, z: Value, output: Value) -> bool:
    """Whether a statistic is kept from being negative for a root or a logarithm."""
    return _rooted(look, output) and _statistic(look, z)


def _rooted(look: Look, value: Value) -> bool:
    for e in look.readers(value):
        if e is None:
            return False
        plain = e.name in MOVES or (e.name in _POINTWISE and sum(map(look.depends, e.inputs)) == 1)
        if e.name not in _ROOTS and not (plain and all(_rooted(look, v) for v in e.outputs)):
            return False
    return bool(look.readers(value))


def _statistic(look: Look, atom: Atom) -> bool:
    e = look.of(atom)
    if e is None:
        return False
    if e.name.startswith(_REDUCTIONS):
        return True
    inputs = [a for a in e.inputs if look.depends(a)]
    return bool(inputs) and (e.name in MOVES or e.name in _POINTWISE) and all(_statistic(look, a) for a in inputs)


def is_part(look: Look, z: Value, output: Value, twins: Iterable[Value]) -> bool:
    """Whether what `z` is made of meets the ReLU's result again, position by position."""
    mine = _pointwise(look, output, set())
    return not mine.isdisjoint(_pointwise(look, _origin(look, z), {*twins, output}))


def _pointwise(look: Look, start: Value, avoid: set[Value]) -> set[Value]:
    found, queue = {start}, [start]
    while queue:
        for e in look.readers(queue.pop()):
            if e is not None and e.name in _POINTWISE:
                new = [v for v in e.outputs if is_float(v) and v not in found and v not in avoid]
                found.update(new)
                queue += new
    return found - {start}


def _origin(look: Look, z: Value) -> Value:
    """The value of which `z` is a multiple, or which it is shifted from, by mere numbers."""
    return _back(look, z, lambda _: None)


def is_shifted(look: Look, z: Value) -> bool:
    """Whether a number has been added to the argument, so that the ramp starts elsewhere than at zero."""
    shifts: list[Equation] = []
    _back(look, z, shifts.append)
    return any(e.name in ("add", "sub") and (found := look.beside(e)) and found[1] != 0 for e in shifts)


def _back(look: Look, z: Value, visit: Callable[[Equation], None]) -> Value:
    while (e := look.of(z)) is not None and (e.name in CASTS or e.name in _AFFINE):
        scalar = look.beside(e) if len(e.inputs) == 2 else None
        if len(e.inputs) == 2 and scalar is None:
            break
        visit(e)
        source = scalar[0] if scalar else e.inputs[0]
        if not isinstance(source, Value) or shape_of(source) != z.shape:
            break
        z = source
    return z
