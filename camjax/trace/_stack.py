"""Named scopes as JAX records them: the name stack of an equation, and what is written on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jax.extend import core

from camjax.adapting._scopes import IDENTITY as IDENTITY
from camjax.trace._program import Frame, Iteration

FOLDED = "@folded"  # marks the iterations before and after a peeled one, which stay a scan
_ITERATION = "@["  # marks the inlined iteration of a peeled scan


def mark(iteration: Iteration) -> str:
    """The scope in which a peeled iteration is traced."""
    return f"{_ITERATION}{','.join(map(str, iteration.scan))}:{iteration.at}:{iteration.length}]"


def scopes(eqn: core.JaxprEqn) -> list[str]:
    """The names of the scopes of an equation, relative to the jaxpr that it stands in, outermost first.

    The one place that reads name stacks. Transformations (`vmap`, `jvp`) on the stack are not scopes,
    and neither are the subscripts that `jnp.einsum` leaves there.
    """
    names = [item.name for item in eqn.source_info.name_stack.stack if type(item).__name__ == "Scope"]
    return [name for name in names if "->" not in name]


def frames(outer: tuple[Frame, ...], names: Sequence[str], visit: int) -> tuple[tuple[Frame, ...], bool]:
    """The absolute frames of an equation, and whether it belongs to the rest of a peeled scan.

    The scopes of adapters begin with "@" and name a module's path and its call, whatever encloses them.
    """
    found, folded = outer, False
    for name in names:
        iterations = found[-1].iterations if found else ()
        if name == FOLDED:
            folded = True
        elif name.startswith(_ITERATION):
            scan, at, length = name[len(_ITERATION) : -1].split(":")
            iteration = Iteration(tuple(map(int, scan.split(","))), int(at), int(length))
            found = (*found, Frame("", "", (*iterations, iteration)))
        elif name.startswith("@"):
            path, _, call = name[1:].partition("#")
            found = (*found, Frame(path, f"{call}~{visit}", iterations))
        else:
            parent = next((f.path for f in reversed(found) if f.path), "")
            path = name.replace("/", ".")
            found = (*found, Frame(f"{parent}.{path}" if parent else path, "", iterations))
    return found, folded


def has_scopes(jaxpr: core.Jaxpr) -> bool:
    """Whether anything inside a jaxpr is computed in a named scope."""
    nested = (sub for eqn in jaxpr.eqns for sub in core.jaxprs_in_params(eqn.params))
    return any(scopes(eqn) for eqn in jaxpr.eqns) or any(has_scopes(body(sub)[0]) for sub in nested)


def body(jaxpr: Any) -> tuple[core.Jaxpr, Sequence[Any]]:
    """A jaxpr and its constants, whether the two come apart (jax 0.10) or merged (jax >= 0.11)."""
    return getattr(jaxpr, "jaxpr", jaxpr), getattr(jaxpr, "consts", ())
