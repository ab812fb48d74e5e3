"""A traced model as a flat list of equations: the representation on which every pass works."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend import core


class Frame(NamedTuple):
    """One call of one named scope; `iterations`: the peeled scans that it lies in, outermost first."""

    path: str
    call: str = ""
    iterations: tuple[Iteration, ...] = ()


class Iteration(NamedTuple):
    """Iteration `at` of the `length` of the scan that is known as `scan`."""

    scan: tuple[int, ...]
    at: int
    length: int


class Value:
    """One array of the traced program. Compared by identity, as two equal computations are two values."""

    __slots__ = ("aval",)

    def __init__(self, aval: Any) -> None:
        self.aval: Any = aval

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the trace, whose batch has one example."""
        return tuple(self.aval.shape)

    def __repr__(self) -> str:
        return f"Value({self.aval})"


Atom = Value | core.Literal


@dataclasses.dataclass(frozen=True, eq=False)
class Equation:
    """`outputs = primitive(inputs)`, computed inside `frames` (outermost first).

    `regions` are the calls with a custom derivative that were opened to reach this equation. A `folded` one
    is the loop over those iterations of a scan that are not in the open.
    """

    eqn: core.JaxprEqn
    inputs: tuple[Atom, ...]
    outputs: tuple[Value, ...]
    frames: tuple[Frame, ...] = ()
    regions: tuple[int, ...] = ()
    folded: bool = False

    @property
    def name(self) -> str:
        """The primitive's name."""
        return self.eqn.primitive.name

    @property
    def params(self) -> dict[str, Any]:
        """The primitive's parameters."""
        return self.eqn.params

    @property
    def values(self) -> list[Value]:
        """The inputs that are not literals."""
        return [atom for atom in self.inputs if isinstance(atom, Value)]

    def at(self, arguments: Iterable[Any]) -> list[Any]:
        """Its outputs for these arrays."""
        primitive = self.eqn.primitive
        with self.eqn.ctx.manager:  # the mesh, the dtypes' width and the metadata of the model's own code
            out = primitive.bind(*arguments, **primitive.get_bind_params(self.params))
        return list(out) if primitive.multiple_results else [out]


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """The equations of a model in order, between its inputs and its outputs.

    Attributes:
        params: one value per leaf of the model's parameters.
        inputs: one value per leaf of the model's input, with a batch of one example.
        consts: arrays that the model's function captured.
        equations: in an order in which they can be evaluated; dead ones included (`live` drops them).
        outputs: one atom per leaf of the model's output.
        regions: the calls with a custom derivative that `equations` shows opened, by their number.
        silent: scopes that compute nothing, with the value that they hand on.
        sealed: scopes inside of what cannot be opened, with what that is.
    """

    params: tuple[Value, ...]
    inputs: tuple[Value, ...]
    consts: dict[Value, Any]
    equations: tuple[Equation, ...]
    outputs: tuple[Atom, ...]
    regions: dict[int, Equation]
    silent: tuple[tuple[tuple[Frame, ...], Atom], ...] = ()
    sealed: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def replace(self, **changes: Any) -> Program:
        """A copy with some attributes changed."""
        return dataclasses.replace(self, **changes)


def evaluate(equations: Iterable[Equation], env: dict[Value, Any]) -> None:
    """Evaluates `equations` in order, reading and writing arrays in `env`."""
    for equation in equations:
        out = equation.at([read(env, atom) for atom in equation.inputs])
        env.update(zip(equation.outputs, out, strict=True))


def read(env: dict[Value, Any], atom: Atom) -> Any:
    """The array of an atom."""
    return env[atom] if isinstance(atom, Value) else atom.val


def shape_of(atom: Atom) -> tuple[int, ...]:
    """An atom's shape."""
    aval: Any = atom.aval
    return tuple(aval.shape)


def dtype_of(atom: Atom) -> Any:
    """An atom's dtype."""
    aval: Any = atom.aval
    return aval.dtype


def live(equations: Sequence[Equation], outputs: Iterable[Atom]) -> list[Equation]:
    """The equations on which `outputs` depend, in order."""
    wanted = {atom for atom in outputs if isinstance(atom, Value)}
    kept = []
    for equation in reversed(equations):
        if not wanted.isdisjoint(equation.outputs):
            kept.append(equation)
            wanted.update(equation.values)
    return kept[::-1]


def reached(equations: Iterable[Equation], sources: Iterable[Value]) -> set[Value]:
    """The values that depend on one of `sources`, these included."""
    found = set(sources)
    for equation in equations:
        if not found.isdisjoint(equation.values):
            found.update(equation.outputs)
    return found


def widest(program: Program) -> int:
    """The bytes of the largest array that depends on the inputs, of one example."""
    equations = live(program.equations, program.outputs)
    values = filter(is_float, reached(equations, program.inputs))
    return max((math.prod(value.shape) * dtype_of(value).itemsize for value in values), default=0)


def close(program: Program, wanted: Iterable[Value], opened: Iterable[int] = ()) -> Program:
    """Puts calls with a custom derivative back in place, except the `opened` and those that hide one of `wanted`.

    A closed call keeps its own derivative rule; an opened one is differentiated through its primal.
    """
    wanted = set(wanted)
    keep: set[int] = set(opened)
    for equation in program.equations:
        for output in wanted.intersection(equation.outputs):
            keep.update(hidden_in(program, equation, output))
    equations: list[Equation] = []
    closed: set[int] = set()
    for equation in program.equations:
        outermost = next((r for r in equation.regions if r not in keep), None)
        if outermost is None:
            equations.append(equation)
        elif outermost not in closed:
            closed.add(outermost)
            equations.append(program.regions[outermost])
    return program.replace(equations=tuple(equations))


def hidden_in(program: Program, equation: Equation, output: Value) -> list[int]:
    """The calls with a custom derivative that compute `output` on their way, out of sight of all others."""
    return [r for r in equation.regions if output not in program.regions[r].outputs]


def is_float(value: Atom) -> bool:
    """Whether an atom's dtype is a floating-point one."""
    return bool(jax.numpy.issubdtype(dtype_of(value), jax.numpy.floating))
