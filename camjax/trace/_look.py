"""Looking around in a program: who computes an atom, who reads it, and whether it is a mere number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jax.core import Tracer

from camjax.trace._program import Atom, Equation, Program, Value
from camjax.trace._scopes import uses

CASTS = frozenset({"convert_element_type", "copy", "copy_p", "stop_gradient"})


class Look:
    """Looks around in a program, forwards and backwards.

    Args:
        program: the program.
        equations: those of its equations that are alive.
        known: values that are one number, told from outside.
    """

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
        while (e := self.of(atom)) is not None and e.name in ("broadcast_in_dim", "reshape", *CASTS):
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
