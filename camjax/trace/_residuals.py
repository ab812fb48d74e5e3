"""The affine residual of one equation: f(z) - J z, what it adds to its inputs' own contribution."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from camjax.trace._kinds import Kind, kind, moving
from camjax.trace._program import Equation, Value, is_float
from camjax.trace._stack import body


def residuals(e: Equation, changing: Collection[Value], arguments: Sequence[Any], here: Sequence[Any]) -> list[Any]:
    """f(z) - J z, for each of an equation's outputs in `changing`.

    z are its inputs in `changing`; J is the derivative that the equation has in a backward pass.

    Args:
        e: the equation, of any kind: a call or a loop is one equation too.
        changing: the floating values that depend on the model's input.
        arguments: all of its inputs.
        here: f(z).
    """
    inputs, outputs = moving(e, changing), [v in changing for v in e.outputs]
    what = kind(e, changing)
    if what is Kind.AFFINE:  # f(0), without the rounding of f(z) - J z
        return e.at([jnp.zeros_like(a) if i in inputs else a for i, a in enumerate(arguments)])
    if what is Kind.BILINEAR:  # J z = 2 f(z)
        return [-f for f in here]
    free = [i for i in inputs if is_float(e.inputs[i])]

    def function(*z: Any) -> list[Any]:
        results = e.at([z[free.index(i)] if i in free else a for i, a in enumerate(arguments)])
        return [result for result, wanted in zip(results, outputs, strict=True) if wanted]

    slopes = _along(e, function, [arguments[i] for i in free])
    return [f - slope for f, slope in zip(here, slopes, strict=True)]


def _along(e: Equation, function: Callable[..., list[Any]], z: Sequence[Any]) -> list[Any]:
    """J z."""
    if not _has_custom_vjp(e.eqn):
        return jax.jvp(function, tuple(z), tuple(z))[1]
    here, pull = jax.vjp(function, *z)  # such a rule has no forward mode: it is the transpose of its transpose
    return jax.vjp(pull, [jnp.zeros_like(a) for a in here])[1](tuple(z))[0]


def _has_custom_vjp(eqn: Any) -> bool:
    inner = (nested for sub in core.jaxprs_in_params(eqn.params) for nested in body(sub)[0].eqns)
    return eqn.primitive.name == "custom_vjp_call" or any(map(_has_custom_vjp, inner))
