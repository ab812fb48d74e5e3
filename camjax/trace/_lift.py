"""DeepLIFT: multipliers that divide the difference of a function between two points among its inputs.

Every equation is evaluated at the point z and at the reference z0. Going backwards, the multipliers m of its outputs
become those of its inputs by a rule of `_lift_rules`, each of which keeps the sum: sum_in m (z - z0) = sum_out m (f(z)
- f(z0)). So summation to delta holds for the function as a whole, f(z) - f(z0) = sum m (z - z0).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from camjax.trace._cpu import as_it_is
from camjax.trace._flatten import flatten
from camjax.trace._kinds import moving
from camjax.trace._lift_rules import number, rule
from camjax.trace._program import Value, evaluate, live, reached, read

if TYPE_CHECKING:
    from jaxtyping import Array, Float


def multipliers(
    function: Callable[[Any], Any], point: Float[Array, "..."], reference: Float[Array, "..."]
) -> Float[Array, "..."]:
    """The DeepLIFT multipliers of a scalar function: `sum(m * (point - reference)) = f(point) - f(reference)`.

    Calls are opened, with custom derivatives too: what counts is what a function computes. Everything that depends on
    the point takes part, predicates and indices as numbers.

    Shrikumar, Greenside, Kundaje, ICML 2017 (arXiv:1704.02685): their Rescale rule, and for equations with several
    inputs the symmetric rules of `_lift_rules`.

    Raises:
        ValueError: for a while loop that depends on the point.

    >>> multipliers(lambda z: jnp.maximum(z.sum() - 1, 0), jnp.array([2.0, 3.0]), jnp.zeros(2))
    Array([0.8, 0.8], dtype=float32)
    """
    with as_it_is():
        program = flatten(jax.make_jaxpr(function)(point), 0)
    equations = live(program.equations, program.outputs)
    changing = reached(equations, program.inputs)
    here: dict[Value, Any] = {**program.consts, program.inputs[0]: point}
    evaluate(equations, here)
    there = {v: a for v, a in here.items() if v not in changing} | {program.inputs[0]: reference}
    changed = [e for e in equations if moving(e, changing)]
    evaluate(changed, there)
    (output,) = program.outputs
    if not isinstance(output, Value) or output not in changing:
        return jnp.zeros_like(number(point))
    found: dict[Any, Any] = {output: jnp.ones_like(number(here[output]))}
    for e in reversed(changed):
        if found.keys().isdisjoint(e.outputs):
            continue
        m = [found[v] if v in found else jnp.zeros_like(number(here[v])) for v in e.outputs]
        inputs = moving(e, changing)
        z = [read(here, atom) for atom in e.inputs]
        z0 = [read(there, atom) for atom in e.inputs]
        f, f0 = ([env[v] for v in e.outputs] for env in (here, there))
        for i, share in zip(inputs, rule(e, changing)(e, inputs, z, z0, f, f0, m), strict=True):
            source = e.inputs[i]
            found[source] = found[source] + share if source in found else share
    return found.get(program.inputs[0], jnp.zeros_like(number(point)))
