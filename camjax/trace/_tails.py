"""Softmax, log-softmax and sigmoid at a model's end: the class score is taken before them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jax.extend import core

from camjax.trace._program import Atom, Equation, Program, Value

_MOVES = frozenset(
    {"reshape", "transpose", "squeeze", "broadcast_in_dim", "convert_element_type", "copy", "stop_gradient"}
)
_CLIPS = frozenset({"max", "min", "clamp"})


class Tail(NamedTuple):
    """A tail of the kind `kind` whose argument, the logits, is `logits`."""

    kind: str
    logits: Value


def strip(program: Program, equations: Sequence[Equation]) -> tuple[Program, str | None]:
    """Replaces every output that ends in such a tail by its logits; also the kind of tail, if any was found.

    What moves or converts the probabilities after the tail (reshape, transpose, a cast) is done to the
    logits instead; what clips them is dropped.
    """
    find = Finder(program, equations)
    outputs: list[Atom] = []
    moved: list[Equation] = []
    kinds: list[str] = []
    for output in program.outputs:
        chain, atom = find.back(output, _MOVES | _CLIPS)
        tail = find.tail(atom)
        if tail is None or tail.logits not in find.dependent_on_input:
            outputs.append(output)
            continue
        kinds.append(tail.kind)
        at: Value = tail.logits
        for equation in reversed([e for e in chain if e.name in _MOVES]):
            result = Value(equation.outputs[0].aval)
            moved.append(Equation(equation.eqn, (at,), (result,), equation.frames))
            at = result
        outputs.append(at)
    changed = program.replace(equations=(*program.equations, *moved), outputs=tuple(outputs))
    return changed, (kinds[0] if kinds else None)


class Finder:
    """Looks backwards from a value for what made it."""

    def __init__(self, program: Program, equations: Iterable[Equation]) -> None:
        self.made_by = {value: e for e in equations for value in e.outputs}
        self.dependent_on_input = set(program.inputs)
        for e in equations:
            if not self.dependent_on_input.isdisjoint(e.values):
                self.dependent_on_input.update(e.outputs)

    def back(self, atom: Atom, names: frozenset[str] = _MOVES) -> tuple[list[Equation], Atom]:
        """Goes back through equations with these names; returns them, newest first, and where they start."""
        chain: list[Equation] = []
        while (e := self.of(atom)) is not None and e.name in names:
            moving = [v for v in e.values if v in self.dependent_on_input]
            if len(moving) != 1 or (_size(moving[0]) != _size(e.outputs[0]) and e.name in _CLIPS):
                break
            chain.append(e)
            atom = moving[0]
        return chain, atom

    def of(self, atom: Atom) -> Equation | None:
        """The equation that computes an atom."""
        return self.made_by.get(atom) if isinstance(atom, Value) else None

    def source(self, atom: Atom, name: str) -> Equation | None:
        """The equation called `name` that an atom comes from, moves apart."""
        e = self.of(self.back(atom)[1])
        return e if e is not None and e.name == name else None

    def tail(self, atom: Atom) -> Tail | None:
        """The tail whose result is `atom`."""
        e = self.of(atom)
        if e is None:
            return None
        if e.name == "logistic":
            return self._found("sigmoid", e.inputs[0])
        if e.name in ("div", "mul"):
            return self._softmax(e) or self._sigmoid(e)
        if e.name == "exp" and (inner := self._log_softmax(self.back(e.inputs[0])[1])):
            return Tail("softmax", inner.logits)
        if e.name == "log" and (inner := self.tail(self._kept_from_zero(e.inputs[0]))):
            return Tail(f"log-{inner.kind}", inner.logits) if not inner.kind.startswith("log") else None
        return self._log_softmax(atom)

    def _softmax(self, e: Equation) -> Tail | None:
        """exp(u) / sum exp(u), or the product with the reciprocal."""
        for top, bottom in (e.inputs, e.inputs[::-1]) if e.name == "mul" else (e.inputs,):
            if e.name == "mul":
                inverse = self.of(self.back(bottom)[1])
                if inverse is None or not (
                    (inverse.name == "div" and _is(inverse.inputs[0], 1.0)) or _power(inverse) == -1
                ):
                    continue
                bottom = inverse.inputs[-1] if inverse.name == "div" else inverse.inputs[0]
            numerator, total = self.source(top, "exp"), self.total(bottom)
            grown = total and self.source(total.inputs[0], "exp")
            if numerator and grown and grown.inputs[0] is numerator.inputs[0]:
                return self._found("softmax", self._unshifted(numerator.inputs[0]))
        return None

    def _sigmoid(self, e: Equation) -> Tail | None:
        """1 / (1 + exp(-z))."""
        total = self.source(e.inputs[1], "add") if e.name == "div" and _is(e.inputs[0], 1.0) else None
        grown = total and next((s for a in total.inputs if (s := self.source(a, "exp"))), None)
        minus = grown and self.source(grown.inputs[0], "neg")
        if total and minus and any(_is(a, 1.0) for a in total.inputs):
            return self._found("sigmoid", minus.inputs[0])
        return None

    def _log_softmax(self, atom: Atom) -> Tail | None:
        """u - log sum exp(u), where u may be shifted, as may the logarithm be shifted back."""
        e = self.of(atom)
        if e is None or e.name != "sub":
            return None
        logits, subtracted = self._unshifted(e.inputs[0]), self.of(self.back(e.inputs[1])[1])
        terms = [e.inputs[1]] if subtracted is None or subtracted.name != "add" else list(subtracted.inputs)
        for term in terms:
            log = self.source(term, "log")
            total = log and self.total(log.inputs[0])
            grown = total and self.source(total.inputs[0], "exp")
            if grown and self._unshifted(grown.inputs[0]) is logits:
                return self._found("log-softmax", logits)
        return None

    def _unshifted(self, atom: Atom) -> Atom:
        """z, where `atom` is z minus its own maximum; else `atom` itself."""
        atom = self.back(atom, frozenset({"convert_element_type"}))[1]
        e = self.of(atom)
        if e is None or e.name != "sub":
            return atom
        peak = self.of(self._finite(self.back(e.inputs[1], _MOVES | {"max"})[1]))
        if peak is None or peak.name != "reduce_max":
            return atom
        return e.inputs[0] if self.back(peak.inputs[0])[1] is self.back(e.inputs[0])[1] else atom

    def _finite(self, atom: Atom) -> Atom:
        """m, where `atom` is m if that is finite, and a number otherwise, as in `jax.nn.logsumexp`."""
        e = self.of(atom)
        if e is None or e.name != "select_n":
            return atom
        cases = [a for a in e.inputs[1:] if isinstance(a, Value) and a in self.dependent_on_input]
        return self.back(cases[0], _MOVES | {"max"})[1] if len(cases) == 1 else atom

    def _kept_from_zero(self, atom: Atom) -> Atom:
        """p, where `atom` is p clipped, or p plus a small number, so that its logarithm is finite."""
        atom = self.back(atom, _MOVES | _CLIPS)[1]
        e = self.of(atom)
        if e is None or e.name != "add" or not any(isinstance(a, core.Literal) for a in e.inputs):
            return atom
        return self.back(e.values[0], _MOVES | _CLIPS)[1]

    def total(self, atom: Atom) -> Equation | None:
        """The sum over classes that `atom` comes from, its sign apart; a sum over the batch is none."""
        e = self.of(self.back(atom, _MOVES | {"abs"})[1])
        return e if e is not None and e.name == "reduce_sum" and 0 not in e.params["axes"] else None

    def _found(self, kind: str, logits: Atom) -> Tail | None:
        return Tail(kind, logits) if isinstance(logits, Value) else None


def _size(value: Value) -> int:
    return int(value.aval.size)


def _is(atom: Atom, number: float) -> bool:
    return isinstance(atom, core.Literal) and bool(np.all(atom.val == number))


def _power(e: Equation) -> int | None:
    return e.params["y"] if e.name == "integer_pow" else None
