"""Reading the scopes of a jaxpr."""

from __future__ import annotations

import re
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr

ABSOLUTE = re.compile(r"@([^#/]+)#(\d+)")


def scope_calls(jaxpr: Jaxpr) -> set[tuple[str, int]]:
    """(path, call) of every absolute scope in which an equation stands, nested jaxprs included."""
    found: set[tuple[str, int]] = set()
    for equation in jaxpr.eqns:
        stack = str(equation.source_info.name_stack)
        found |= {(path, int(call)) for path, call in ABSOLUTE.findall(stack)}
        for inner in jax.tree.leaves(equation.params, is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                found |= scope_calls(inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner)
    return found


def scope_paths(jaxpr: Jaxpr) -> set[str]:
    """The paths alone."""
    return {path for path, _ in scope_calls(jaxpr)}


def _is_jaxpr(value: Any) -> bool:
    return isinstance(value, Jaxpr | ClosedJaxpr)
