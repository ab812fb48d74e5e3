"""How layouts pass through scans and through calls that stay closed: by following their bodies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from camjax.trace import _layout as lay
from camjax.trace._flatten import flatten
from camjax.trace._follow import Follow, Rule
from camjax.trace._layout import Dim, Layout
from camjax.trace._peel import scan_counts
from camjax.trace._program import Equation, Program, Value, live
from camjax.trace._scopes import uses


def _call(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    found = _through(follow, equation, layouts)
    return [la if la is not None else follow.unknown(v.shape) for la, v in zip(found, equation.outputs, strict=True)]


def _scan(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    """A carried value keeps what the body keeps of its layout; results stack along the scanned axis."""
    n_consts, n_carry = scan_counts(equation.eqn)
    consts, carry, xs = (
        layouts[:n_consts],
        list(layouts[n_consts : n_consts + n_carry]),
        layouts[n_consts + n_carry :],
    )
    slices = [None if la is None else la[1:] for la in xs]
    results: list[Layout | None] = []
    for _ in range(4):  # a round can only lose knowledge, so few are needed
        results = _through(follow, equation, [*consts, *carry, *slices])
        settled = [_settled(follow, a, b) for a, b in zip(carry, results[:n_carry], strict=True)]
        if settled == carry:
            break
        carry = settled
    else:
        carry = [None if la is None else follow.unknown([d.size for d in la], _marked(la)) for la in carry]
        results = _through(follow, equation, [*consts, *carry, *slices])
    scanned = follow.join([la[0] for la in xs if la is not None], equation.params["length"])
    stacked = [None if la is None else (scanned, *la) for la in results[n_carry:]]
    pairs = zip([*carry, *stacked], equation.outputs, strict=True)
    return [la if la is not None else follow.unknown(v.shape) for la, v in pairs]


def _settled(follow: Follow, before: Layout | None, after: Layout | None) -> Layout | None:
    """What two iterations agree on."""
    if before is None or after is None:
        return before if after is None else after
    return tuple(_agreed(follow, a, b) for a, b in zip(before, after, strict=True))


def _agreed(follow: Follow, before: Dim, after: Dim) -> Dim:
    marked = before.marked or after.marked
    rank = follow.rank(before)
    if rank == lay.OTHER or (rank == lay.CHANNEL == follow.rank(after)) or _plain(before) == _plain(after):
        return lay.mark(before) if marked else before
    return follow.fresh.dim(before.size, marked=marked)


def _plain(dim: Dim) -> Dim:
    return dim._replace(factors=tuple(f._replace(marked=False) for f in dim.factors))


def _marked(layout: Layout) -> bool:
    return any(d.marked for d in layout)


def _through(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout | None]:
    """The layouts of the results of an equation's body, given those of its arguments."""
    dependent = tuple(la is not None for la in layouts)
    key = (id(equation.eqn), dependent)
    if key not in follow.bodies:
        follow.bodies[key] = _prepared(follow, equation, dependent)
    program, equations, inner = follow.bodies[key]
    known: dict[Value, Layout] = dict(zip(program.inputs, (la for la in layouts if la is not None), strict=True))
    for e in equations:
        if not inner.use.dependent.isdisjoint(e.outputs):
            inputs = [known.get(a) if isinstance(a, Value) else None for a in e.inputs]
            known.update(zip(e.outputs, inner(e, inputs), strict=True))
    return [known.get(atom) if isinstance(atom, Value) else None for atom in program.outputs]


def _prepared(follow: Follow, equation: Equation, dependent: Sequence[bool]) -> tuple[Program, list[Equation], Any]:
    whole = flatten(equation.params["jaxpr"], 0, peel=None)
    arguments = list(zip(whole.inputs, equation.inputs, dependent, strict=True))
    program = whole.replace(
        params=tuple(v for v, outer, d in arguments if not d and follow.weighted(outer)),
        inputs=tuple(v for v, _, d in arguments if d),
    )
    equations = live(program.equations, program.outputs)
    return program, equations, follow.within(uses(program, equations))


BODIES: dict[str, Rule] = {"scan": _scan, "jit": _call, "pjit": _call}
