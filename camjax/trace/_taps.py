"""A program evaluated with small changes to some of its values, so that gradients with respect to them are had."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from camjax._split import Split
from camjax.trace._cut import Bound
from camjax.trace._program import Equation, Program, Value, evaluate, is_float, reached, read


def fixed(program: Program, split: Split, params: Any) -> dict[Value, Any]:
    """The arrays of constants and parameters; large constants are arguments of the compiled program.

    Args:
        program: the program.
        split: any split of the same model.
        params: the parameters as `split.bound` gives them.
    """
    standing: dict[int, Any] = {}
    if isinstance(params, Bound) and split.bind is not None:
        standing = {id(a): b for a, b in zip(split.bind(None).captured, params.captured, strict=True)}
        params = params.params
    found = {v: standing.get(id(array), array) for v, array in program.consts.items()}
    return found | dict(zip(program.params, jax.tree.leaves(params), strict=True))


def gradients(
    program: Program,
    equations: Sequence[Equation],
    known: Mapping[Value, Any],
    values: Sequence[Value],
    score: Callable[[Sequence[Any]], Any],
) -> list[Any]:
    """The gradients of `score(outputs)` with respect to `values`, all from one backward pass.

    Each gets a change of zero added as soon as it is computed. Nothing that depends on none of them is evaluated.

    Args:
        program: whose outputs are scored.
        equations: those that compute the outputs.
        known: the array of every value that `equations` read or compute.
        values: what some of the equations compute.
        score: from the leaves of the outputs to a scalar; it may depend on what a caller maps over: what comes before
            it is evaluated, and linearised, once.
    """
    floats = [i for i, atom in enumerate(program.outputs) if is_float(atom)]
    after = reached(equations, values)
    behind = [e for e in equations if not after.isdisjoint(e.values)]

    def run(nudges: list[Any]) -> Any:
        moved = dict(zip(values, nudges, strict=True))
        env = {**known, **{v: known[v] + nudge for v, nudge in moved.items()}}
        for e in behind:
            evaluate([e], env)
            env.update((v, env[v] + moved[v]) for v in e.outputs if v in moved)
        outputs = [read(env, atom) for atom in program.outputs]
        return [outputs[i] for i in floats], outputs

    nothing = [jnp.zeros(v.shape, v.aval.dtype) for v in values]
    free, pull, outputs = jax.vjp(run, nothing, has_aux=True)

    def scored(free: list[Any]) -> Any:
        leaves = dict(zip(floats, free, strict=True))
        return score([leaves.get(i, leaf) for i, leaf in enumerate(outputs)])

    total, back = jax.vjp(scored, free)
    return pull(back(jnp.ones_like(total))[0])[0]
