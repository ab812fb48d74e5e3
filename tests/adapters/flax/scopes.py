"""Reads the scopes of a traced program, calls inside calls included."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend import core


def scopes(function: Callable[..., Any], *args: Any) -> dict[str, set[str]]:
    """Each absolute scope `@path#call` of the program, with the names of the primitives inside it."""
    found: dict[str, set[str]] = {}
    for primitive, stack in _equations(jax.make_jaxpr(function)(*args).jaxpr):
        for entry in stack:
            if entry.startswith("@"):
                found.setdefault(entry, set()).add(primitive)
    return found


def stacks(function: Callable[..., Any], *args: Any) -> list[tuple[str, ...]]:
    """The stack of scopes of each equation, outermost first, in order, without repeats."""
    seen = dict.fromkeys(stack for _, stack in _equations(jax.make_jaxpr(function)(*args).jaxpr))
    return [stack for stack in seen if stack]


def _equations(jaxpr: core.Jaxpr, outer: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
    for equation in jaxpr.eqns:
        entries = equation.source_info.name_stack.stack
        stack = outer + tuple(entry.name for entry in entries if type(entry).__name__ == "Scope")
        inner = list(core.jaxprs_in_params(equation.params))
        if not inner:
            yield equation.primitive.name, stack
        for nested in inner:
            yield from _equations(nested, stack)
