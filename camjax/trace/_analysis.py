"""All that the passes find out about a traced model, with one iteration of each scan in the open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from camjax.trace._default import default
from camjax.trace._flatten import flatten
from camjax.trace._grid import Grids
from camjax.trace._program import Program, Value, hidden_in, live
from camjax.trace._scopes import Place, places, uses
from camjax.trace._table import bare


class Analysis(NamedTuple):
    """A flattened model.

    Attributes:
        program: its equations.
        places: the names of its values.
        grids: the layouts of its values.
        hidden: values that are made on the way inside a call with a custom derivative.
        default: what is explained when no layer is named, if anything can be.
        alone: whether no other map reaches the outputs beside it.
    """

    program: Program
    places: list[Place]
    grids: Grids
    hidden: frozenset[Value]
    default: Value | None
    alone: bool

    def name_of(self, value: Value) -> str:
        """A name for a value that lies in no scope: its primitive, and how many of these came before."""
        made = next(e for e in self.program.equations if value in e.outputs)
        before = self.program.equations[: self.program.equations.index(made)]
        return f"{made.name}@{sum(e.name == made.name for e in before)}"


def analyse(closed: Any, n_params: int, peel: Mapping[tuple[int, ...], int]) -> Analysis:
    """Runs the passes in their order; `peel` chooses the iteration of each scan that is in the open."""
    program = flatten(closed, n_params, peel)
    equations = live(program.equations, program.outputs)
    use = uses(program, equations)
    grids = Grids(program, equations, use)
    maps = {value for value in grids.layouts if grids.pure(value) and grids.axes(value) is not None}
    named = places(equations, use, maps)
    hidden = frozenset(v for e in equations for v in e.outputs if hidden_in(program, e, v))
    chosen = None
    if grids.known:
        scopes: dict[Value, set[str]] = {place.value: set() for place in named}
        for place in named:
            if not place.name.startswith("after:"):
                scopes[place.value].add(bare(place.name))
        chosen = default(program, equations, use, grids, scopes, hidden)
    return Analysis(program, named, grids, hidden, *(chosen or (None, True)))
