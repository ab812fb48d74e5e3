"""The ReLUs of a program, however they are written; and what looks like one and is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jax.core import Tracer

from camjax.trace._follow import ELEMENTWISE
from camjax.trace._moves import MOVES
from camjax.trace._program import Atom, Equation, Program, Value, is_float, reached, shape_of
from camjax.trace._scopes import uses

_POINTWISE = frozenset(ELEMENTWISE)
_CASTS = frozenset({"convert_element_type", "copy", "copy_p", "stop_gradient"})
_ROOTS = frozenset({"sqrt", "rsqrt", "cbrt", "log", "pow"})
_REDUCTIONS = ("reduce_", "argm", "cum")
_AFFINE = frozenset({"neg", "add", "sub", "mul", "div"})
# What a refusal calls other nonlinearities, by the primitive that gives them away.
_OTHERS = {
    "erf": "GELU (erf)",
    "erfc": "GELU (erfc)",
    "logistic": "sigmoid or SiLU (logistic)",
    "tanh": "tanh or GELU's approximation (tanh)",
    "expm1": "ELU (expm1)",
    "log1p": "softplus (log1p)",
    "sin": "sine (sin)",
}


class Relu(NamedTuple):
    """`output = min(max(z, 0), cap)`; the cap is infinite but for ReLU6 and its like."""

    z: Value
    output: Value
    cap: float = math.inf


class Found(NamedTuple):
    """The ReLUs of a program, and the names of its other nonlinearities."""

    relus: list[Relu]
    others: list[str]


def find(program: Program, equations: Sequence[Equation], known: Mapping[Value, float], inner: bool = False) -> Found:
    """Finds every ReLU that acts on what is computed from the input.

    Args:
        program: where they are looked for.
        equations: those of its equations that are alive.
        known: values that are one number, told from outside.
        inner: whether this is the body of a loop or call, whose arguments may be anything.

    Written as `max(z, 0)`, as `where(z > 0, z, 0)`, as `z * (z > 0)`, or clamped, with a cap before or after.
    None of these is a ReLU:

    - the guard of a root or logarithm over a statistic, such as the `max(0, variance)` of a layer normalisation;
    - a part of another pointwise function of the same `z` (softplus, CELU, hard-swish), which meets it again;
    - a capped ramp that does not start at zero, `relu6(z + 3)`: a hard sigmoid, the gate of squeeze-and-excitation;
    - a capped ramp of the raw input, before any weight: a picture clipped to its range;
    - what is computed from parameters alone, or is no float.
    """
    look = Look(program, equations, known)
    behind = reached(equations, [*program.params, *program.consts])
    candidates = [relu for e in equations if (relu := look.capped(e)) is not None]
    relus, others = [], {_OTHERS[e.name]: None for e in equations if e.name in _OTHERS and look.depends(e.outputs[0])}
    for e in equations:
        if look.is_leaky(e):
            others["leaky ReLU"] = None
    for relu in candidates:
        if look.is_guard(relu) or (relu.cap < math.inf and not inner and relu.z not in behind):
            continue
        if look.is_part(relu, [other.output for other in candidates if other.z is relu.z]):
            others["a function with a ReLU as a part, such as softplus, CELU or hard-swish"] = None
        elif relu.cap < math.inf and look.is_shifted(relu):
            others["hard sigmoid"] = None
        else:
            relus.append(relu)
    return Found(relus, list(others))


class Look:
    """Looks around in a program, forwards and backwards."""

    def __init__(self, program: Program, equations: Sequence[Equation], known: Mapping[Value, float]) -> None:
        self.equations, self.use, self.known = equations, uses(program, equations), known
        self.consts = program.consts
        self.made_by = {value: e for e in equations for value in e.outputs}

    def depends(self, atom: Atom) -> bool:
        """Whether an atom is computed from the input."""
        return isinstance(atom, Value) and atom in self.use.dependent

    def of(self, atom: Atom) -> Equation | None:
        """The equation that computes an atom."""
        return self.made_by.get(atom) if isinstance(atom, Value) else None

    def readers(self, value: Value) -> list[Equation | None]:
        """The equations that read a value; None for the program's own results."""
        return [None if n == -1 else self.equations[n] for n in self.use.readers.get(value, ())]

    def number(self, atom: Atom) -> float | None:
        """The one number that an atom consists of, where that is known."""
        while (e := self.of(atom)) is not None and e.name in ("broadcast_in_dim", "reshape", *_CASTS):
            atom = e.inputs[0]
        if isinstance(atom, Value) and atom in self.known:
            return self.known[atom]
        value = self.consts.get(atom) if isinstance(atom, Value) else atom.val
        if value is None or isinstance(value, Tracer) or not 0 < np.size(value) <= 4096:
            return None
        array = np.asarray(value)
        if array.dtype.kind not in "iufV" or not (array == array.flat[0]).all():  # V: bfloat16
            return None
        return float(array.flat[0])

    def beside(self, e: Equation) -> tuple[Value, float] | None:
        """The operand that depends on the input, and the number that is the other operand."""
        for one, other in (e.inputs, e.inputs[::-1]):
            if isinstance(one, Value) and self.depends(one) and (n := self.number(other)) is not None:
                return one, n
        return None

    def ramp(self, e: Equation) -> Relu | None:
        """What one equation computes, if that is a ReLU."""
        (output,), z, cap = e.outputs[:1], None, math.inf
        if e.name == "max" and (found := self.beside(e)) and found[1] == 0:
            z = found[0]
        elif e.name == "clamp" and self.number(e.inputs[0]) == 0:
            z, cap = e.inputs[1], self.number(e.inputs[2])
        elif e.name == "select_n" and (kept := self.kept(e)) and self.number(kept[1]) == 0:
            z = kept[0]
        elif e.name == "mul":
            for one, other in (e.inputs, e.inputs[::-1]):
                cast = self.of(other)
                if cast is not None and cast.name == "convert_element_type" and self.sign(cast.inputs[0]) == (one, 1):
                    z = one
        if not isinstance(z, Value) or cap is None or not self.depends(z) or not is_float(z):
            return None
        return Relu(z, output, cap) if z.aval.dtype == output.aval.dtype and z.shape == output.shape else None

    def capped(self, e: Equation) -> Relu | None:
        """The same, with the minimum that follows or precedes it."""
        relu = self.ramp(e)
        if relu is None or relu.cap < math.inf:
            return relu
        after = self.readers(relu.output)
        if len(after) == 1 and after[0] is not None and after[0].name == "min" and (cap := self.beside(after[0])):
            return Relu(relu.z, after[0].outputs[0], cap[1]) if cap[1] > 0 else None
        before = self.of(relu.z)
        if before is not None and before.name == "min" and (cap := self.beside(before)) and cap[1] > 0:
            alone = all(reader is e for reader in self.readers(relu.z))
            return Relu(cap[0], relu.output, cap[1]) if alone else relu
        return relu

    def sign(self, predicate: Atom) -> tuple[Atom, int] | None:
        """z and 1 where a predicate says that z is positive, z and -1 where it says that z is negative."""
        e = self.of(predicate)
        if e is None or e.name not in ("gt", "ge", "lt", "le"):
            return None
        up = 1 if e.name in ("gt", "ge") else -1
        if self.number(e.inputs[1]) == 0:
            return e.inputs[0], up
        return (e.inputs[1], -up) if self.number(e.inputs[0]) == 0 else None

    def kept(self, e: Equation) -> tuple[Value, Atom] | None:
        """z and the other case of a selection that keeps z where that is positive."""
        found = self.sign(e.inputs[0]) if len(e.inputs) == 3 else None
        if found is None:
            return None
        other, kept = e.inputs[1:] if found[1] > 0 else e.inputs[:0:-1]
        return (kept, other) if kept is found[0] and isinstance(kept, Value) else None

    def is_leaky(self, e: Equation) -> bool:
        """Whether an equation keeps z where it is positive, and a part of it elsewhere."""
        kept = self.kept(e) if e.name == "select_n" else None
        scaled = self.of(kept[1]) if kept else None
        return kept is not None and scaled is not None and scaled.name == "mul" and kept[0] in scaled.inputs

    def is_guard(self, relu: Relu) -> bool:
        """Whether a statistic is kept from being negative for a root or a logarithm."""
        return self._rooted(relu.output) and self._statistic(relu.z)

    def _rooted(self, value: Value) -> bool:
        for e in self.readers(value):
            if e is None:
                return False
            plain = e.name in MOVES or (e.name in _POINTWISE and sum(map(self.depends, e.inputs)) == 1)
            if e.name not in _ROOTS and not (plain and all(map(self._rooted, e.outputs))):
                return False
        return bool(self.readers(value))

    def _statistic(self, atom: Atom) -> bool:
        e = self.of(atom)
        if e is None:
            return False
        if e.name.startswith(_REDUCTIONS):
            return True
        inputs = [a for a in e.inputs if self.depends(a)]
        return bool(inputs) and (e.name in MOVES or e.name in _POINTWISE) and all(map(self._statistic, inputs))

    def is_part(self, relu: Relu, twins: Iterable[Value]) -> bool:
        """Whether what `z` is made of meets the ReLU's result again, position by position."""
        mine = self._pointwise(relu.output, set())
        return not mine.isdisjoint(self._pointwise(self._origin(relu.z), {*twins, relu.output}))

    def _pointwise(self, start: Value, avoid: set[Value]) -> set[Value]:
        found, queue = {start}, [start]
        while queue:
            for e in self.readers(queue.pop()):
                if e is not None and e.name in _POINTWISE:
                    new = [v for v in e.outputs if is_float(v) and v not in found and v not in avoid]
                    found.update(new)
                    queue += new
        return found - {start}

    def _origin(self, z: Value) -> Value:
        """The value of which `z` is a multiple, or which it is shifted from, by mere numbers."""
        return self._back(z, lambda _: None)

    def is_shifted(self, relu: Relu) -> bool:
        """Whether a number has been added to the argument, so that the ramp starts elsewhere than at zero."""
        shifts: list[Equation] = []
        self._back(relu.z, shifts.append)
        return any(e.name in ("add", "sub") and (found := self.beside(e)) and found[1] != 0 for e in shifts)

    def _back(self, z: Value, visit: Callable[[Equation], None]) -> Value:
        while (e := self.of(z)) is not None and (e.name in _CASTS or e.name in _AFFINE):
            scalar = self.beside(e) if len(e.inputs) == 2 else None
            if len(e.inputs) == 2 and scalar is None:
                break
            visit(e)
            source = scalar[0] if scalar else e.inputs[0]
            if not isinstance(source, Value) or shape_of(source) != z.shape:
                break
            z = source
        return z
