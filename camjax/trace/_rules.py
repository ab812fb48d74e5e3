"""Another backward rule at every ReLU of a program; the forward pass stays as it is, to the bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.extend import core

from camjax.trace import _relus
from camjax.trace._flatten import flatten
from camjax.trace._look import Look
from camjax.trace._peel import scan_counts
from camjax.trace._program import Equation, Program, Value, close, evaluate, live, read
from camjax.trace._relus import Found, Relu

if TYPE_CHECKING:
    from jaxtyping import Array, Float

_BODIES = frozenset({"scan", "cond", "jit", "pjit"})


def guided(z: Float[Array, "*s"], g: Float[Array, "*s"], cap: float) -> Float[Array, "*s"]:
    """Guided Backpropagation: `1[0 < z < cap] 1[g > 0] g`, the ReLU's own derivative and a ReLU of the gradient.

    >>> guided(jnp.array([-1.0, 1.0, 1.0]), jnp.array([2.0, 2.0, -2.0]), float("inf"))
    Array([0., 2., 0.], dtype=float32)
    """
    # Written so that a NaN is not taken for zero.
    dead = (z <= 0) | (z >= jnp.asarray(cap, z.dtype)) | (g <= 0)
    return jnp.where(dead, jnp.zeros_like(g), g)


def deconvnet(z: Float[Array, "*s"], g: Float[Array, "*s"], cap: float) -> Float[Array, "*s"]:
    """DeconvNet: `1[g > 0] g`, whatever the forward pass saw; nor is it capped, as gradients have no scale.

    >>> deconvnet(jnp.array([-1.0, 1.0]), jnp.array([2.0, -2.0]), 6.0)
    Array([2., 0.], dtype=float32)
    """
    return jnp.where(g <= 0, jnp.zeros_like(g), g)


RULES: dict[str, Callable[..., Any]] = {"guided": guided, "deconvnet": deconvnet}


def with_rule(program: Program, rule: str) -> Program:
    """The program with `RULES[rule]` for the derivative of each of its ReLUs, those in bodies of loops included.

    Raises:
        ValueError: where there is no ReLU; the text says which nonlinearities there are.
    """
    changed, found = _rewritten(program, rule, {})
    if not found.relus:
        has = ", ".join(found.others) or "none that is known by name"
        raise ValueError(
            "model: Guided Backpropagation and DeconvNet change the derivative of ReLUs (max(x, 0), or clipped from "
            f"above as ReLU6), and this model has none; its nonlinearities are: {has}. Use a method that "
            "differentiates the model as it is: camjax.saliency.Gradient(), SmoothGrad() or IntegratedGradients()."
        )
    return changed


def _rewritten(program: Program, rule: str, known: Mapping[Value, float], inner: bool = False) -> tuple[Program, Found]:
    """The program with the rule in place, and what was found in it and in its bodies."""
    equations = live(program.equations, program.outputs)
    found = _relus.find(program, equations, known, inner)
    relus, others = list(found.relus), dict.fromkeys(found.others)
    changed: dict[Equation, Equation] = {}
    for e in equations:
        if e.name in _BODIES:
            new, inside = _with_bodies(program, equations, known, e, rule)
            others.update(dict.fromkeys(inside.others))
            if inside.relus:
                changed[e] = new
                relus += inside.relus
    # A call with a custom derivative stays a call, unless what is changed lies hidden inside of it.
    opened = {region for e in changed for region in e.regions}
    closed = close(program, [value for relu in found.relus for value in (relu.z, relu.output)], opened)
    at = {relu.output: relu for relu in found.relus}
    out: list[Equation] = []
    for e in closed.equations:
        e = changed.get(e, e)
        plain = {v: Value(v.aval) for v in e.outputs if v in at}
        outputs = tuple(plain.get(v, v) for v in e.outputs)
        out.append(dataclasses.replace(e, outputs=outputs, regions=()))
        for value, forward in plain.items():
            out += _spliced(_ruled(rule, at[value]), (at[value].z, forward), value)
    return closed.replace(equations=tuple(out)), Found(relus, list(others))


def _ruled(rule: str, relu: Relu) -> Callable[[Any, Any], Any]:
    """A function of z and of the ReLU's own result, which it returns; only its derivative in z is the rule's."""

    @jax.custom_vjp
    def ruled(z: Any, forward: Any) -> Any:
        return forward

    ruled.defvjp(lambda z, forward: (forward, z), lambda z, g: (RULES[rule](z, g, relu.cap), None))
    return lambda z, forward: ruled(z, jax.lax.stop_gradient(forward))


def _spliced(function: Callable[..., Any], inputs: Sequence[Value], output: Value) -> list[Equation]:
    """The equations of a function of some values, which compute `output`."""
    jaxpr = jax.make_jaxpr(function)(*(jax.ShapeDtypeStruct(v.shape, v.aval.dtype) for v in inputs)).jaxpr
    env: dict[Any, Value] = dict(zip(jaxpr.invars, inputs, strict=True))
    env[jaxpr.outvars[0]] = output
    out = []
    for eqn in jaxpr.eqns:
        arguments = tuple(atom if isinstance(atom, core.Literal) else env[atom] for atom in eqn.invars)
        results = tuple(env.setdefault(var, Value(var.aval)) for var in eqn.outvars)
        out.append(Equation(eqn, arguments, results))
    return out


def _with_bodies(
    program: Program, equations: Sequence[Equation], known: Mapping[Value, float], e: Equation, rule: str
) -> tuple[Equation, Found]:
    """A loop, a conditional or a call with the rule in place in its bodies."""
    look = Look(program, equations, known)
    numbers = [look.number(atom) for atom in e.inputs]
    if e.name == "scan":  # what is carried, or sliced, need not stay the number that it starts as
        fixed = scan_counts(e.eqn)[0]
        numbers[fixed:] = [None] * (len(numbers) - fixed)
    found = Found([], [])

    def rewritten(closed: Any) -> Any:
        inner = flatten(closed, 0, peel=None)
        pairs = zip(inner.inputs, numbers[len(numbers) - len(inner.inputs) :], strict=True)
        new, inside = _rewritten(inner, rule, {v: n for v, n in pairs if n is not None}, inner=True)
        found.relus.extend(inside.relus)
        found.others.extend(inside.others)

        def run(*arguments: Any) -> list[Any]:
            env = {**new.consts, **dict(zip(new.inputs, arguments, strict=True))}
            evaluate(live(new.equations, new.outputs), env)
            return [read(env, atom) for atom in new.outputs]

        return jax.make_jaxpr(run)(*(jax.ShapeDtypeStruct(v.shape, v.aval.dtype) for v in inner.inputs))

    key = "branches" if e.name == "cond" else "jaxpr"
    bodies = e.params[key]
    new = tuple(map(rewritten, bodies)) if e.name == "cond" else rewritten(bodies)
    return dataclasses.replace(e, eqn=e.eqn.replace(params={**e.params, key: new})), found
