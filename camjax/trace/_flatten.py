"""From a jaxpr to a flat program: nested calls are inlined, scans are peeled, scopes become absolute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from camjax.trace._peel import peeled, unrolled
from camjax.trace._program import Atom, Equation, Frame, Iteration, Program, Value
from camjax.trace._stack import IDENTITY, body, frames, has_scopes, scopes

# Calls that only group equations, by the name of the parameter that holds their jaxpr.
_PLAIN_CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr"}
_REMAT_CALLS = {"remat2": "jaxpr", "checkpoint": "jaxpr", "remat": "jaxpr"}
_CUSTOM_CALLS = {"custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr"}
# Primitives of newer releases of jax, in the words of the older ones, so that every rule knows one set of words.
_RESTATED: dict[str, Callable[..., Callable[..., Any]]] = {
    "stack": lambda axis: lambda *arrays: jax.lax.concatenate([jax.lax.expand_dims(a, [axis]) for a in arrays], axis),
    "unstack": lambda axis: (
        lambda array: [jax.lax.squeeze(a, [axis]) for a in jax.lax.split(array, (1,) * array.shape[axis], axis)]
    ),
}
# What cannot be opened, as a message calls it.
_SEALED = {"while": "a while loop", "cond": "a conditional", "scan": "a scan without iterations"}


def flatten(
    closed: core.ClosedJaxpr,
    n_params: int,
    peel: Mapping[tuple[int, ...], int] | None = None,
    unroll: Callable[[Any], bool] | None = None,
) -> Program:
    """Flattens `closed`, whose first `n_params` arguments are the parameters and whose others are the input.

    `peel` says which iteration of a scan is inlined, the last one where it says nothing; None: no one is. Of a scan
    whose equation `unroll` accepts, all are.
    """
    jaxpr, consts = body(closed)
    flat = _Flattener(peel, unroll)
    arguments = [Value(var.aval) for var in jaxpr.invars]
    outputs = flat.walk(jaxpr, consts, arguments, frames=(), regions=(), scans=())
    return Program(
        params=tuple(arguments[:n_params]),
        inputs=tuple(arguments[n_params:]),
        consts=flat.consts,
        equations=tuple(flat.equations),
        outputs=tuple(outputs),
        regions=flat.regions,
        silent=tuple(flat.silent),
        sealed=flat.sealed,
    )


class _Flattener:
    """What flattening has collected so far."""

    def __init__(self, peel: Mapping[tuple[int, ...], int] | None, unroll: Callable[[Any], bool] | None = None) -> None:
        self.peel, self.unroll = peel, unroll
        self.equations: list[Equation] = []
        self.consts: dict[Value, Any] = {}
        self.regions: dict[int, Equation] = {}
        self.silent: list[tuple[tuple[Frame, ...], Atom]] = []
        self.sealed: dict[str, str] = {}
        self._const_of: dict[int, Value] = {}
        self._visits: dict[int, int] = {}
        self._scans: dict[tuple[int, ...], int] = {}
        self._opened: list[Any] = []  # keeps jaxprs alive whose ids are counted

    def walk(
        self,
        jaxpr: core.Jaxpr,
        consts: Sequence[Any],
        arguments: Sequence[Atom],
        frames: tuple[Frame, ...],
        regions: tuple[int, ...],
        scans: tuple[int, ...],
    ) -> list[Atom]:
        """Appends the equations of one jaxpr; returns its outputs."""
        env: dict[core.Var, Atom] = dict(zip(jaxpr.invars, arguments, strict=True))
        env.update(zip(jaxpr.constvars, map(self._const, consts), strict=True))
        # A jitted function that is called twice is one jaxpr: its scopes must not count as one call.
        visit = self._visits[id(jaxpr)] = self._visits.get(id(jaxpr), -1) + 1
        self._opened.append(jaxpr)
        for eqn in jaxpr.eqns:
            inputs = tuple(v if isinstance(v, core.Literal) else env[v] for v in eqn.invars)
            outputs = self._equation(eqn, inputs, frames, visit, regions, scans)
            env.update(zip(eqn.outvars, outputs, strict=True))
        return [v if isinstance(v, core.Literal) else env[v] for v in jaxpr.outvars]

    def _equation(
        self, eqn: Any, inputs: tuple[Atom, ...], outer: Any, visit: int, regions: Any, scans: Any
    ) -> Sequence[Atom]:
        """Appends what one equation stands for; returns its outputs."""
        name, (inner, folded) = eqn.primitive.name, frames(outer, scopes(eqn), visit)
        if name == "name":  # jax.ad_checkpoint.checkpoint_name: an identity
            if eqn.params["name"] == IDENTITY:
                self.silent.append((inner, inputs[0]))
            return inputs
        if name in _RESTATED:
            restated = jax.make_jaxpr(_RESTATED[name](eqn.params["axis"]))(*map(_struct, inputs))
            return self.walk(*body(restated), inputs, inner, regions, scans)
        if name in _REMAT_CALLS or (name in _PLAIN_CALLS and not _has_shardings(eqn)):
            called = eqn.params[{**_PLAIN_CALLS, **_REMAT_CALLS}[name]]
            return self.walk(*body(called), inputs, inner, regions, scans)
        if name in _CUSTOM_CALLS:
            return self._custom(eqn, inputs, inner, regions, scans)
        if name == "scan" and self.unroll is not None and self.unroll(eqn):
            scan = self._number(scans)
            closed = jax.make_jaxpr(unrolled(eqn, scan))(*map(_struct, inputs))
            return self.walk(*body(closed), inputs, inner, regions, scan)
        if name == "scan" and self.peel is not None and not folded and _can_peel(eqn):
            return self._peel(self.peel, eqn, inputs, inner, regions, scans)
        _refuse_effects(eqn)
        if not folded:
            self._seal(eqn, inner)
        outputs = tuple(Value(v.aval) for v in eqn.outvars)
        self.equations.append(Equation(eqn, inputs, outputs, inner, regions, folded))
        return outputs

    def _const(self, array: Any) -> Value:
        """A captured array, the same value however often it is captured."""
        if id(array) not in self._const_of:
            self._const_of[id(array)] = value = Value(jax.typeof(array))
            self.consts[value] = array
        return self._const_of[id(array)]

    def _custom(self, eqn: Any, inputs: tuple[Atom, ...], inner: Any, regions: Any, scans: Any) -> list[Value]:
        """Opens a call with a custom derivative, and keeps what is needed to close it again.

        A closed call is one equation, so each of its results must be a value of its own: what the call hands
        through (a gradient reversal computes nothing else), or returns twice, is copied.
        """
        number = len(self.regions)
        self.regions[number] = Equation(eqn, inputs, (), inner, regions)  # takes the number before inner calls do
        first = len(self.equations)
        called = eqn.params[_CUSTOM_CALLS[eqn.primitive.name]]
        results = self.walk(*body(called), inputs, inner, (*regions, number), scans)
        free = {v for e in self.equations[first:] for v in e.outputs}
        outputs: list[Value] = []
        for atom in results:
            if isinstance(atom, Value) and atom in free:
                free.remove(atom)
                outputs.append(atom)
            else:
                copied = Value(atom.aval)
                copy = jax.make_jaxpr(jnp.copy)(_struct(atom)).eqns[0]
                self.equations.append(Equation(copy, (atom,), (copied,), inner, (*regions, number)))
                outputs.append(copied)
        self.regions[number] = Equation(eqn, inputs, tuple(outputs), inner, regions)
        return outputs

    def _peel(
        self,
        peel: Mapping[Any, int],
        eqn: Any,
        inputs: tuple[Atom, ...],
        inner: Any,
        regions: Any,
        scans: Any,
    ) -> list[Atom]:
        """Inlines one iteration of a scan: the last one to run, unless another one is asked for."""
        scan, length = self._number(scans), eqn.params["length"]
        at = peel.get(scan, 0 if eqn.params["reverse"] else length - 1)
        closed = jax.make_jaxpr(peeled(eqn, Iteration(scan, at, length)))(*map(_struct, inputs))
        return self.walk(*body(closed), inputs, inner, regions, scan)

    def _number(self, scans: tuple[int, ...]) -> tuple[int, ...]:
        """Scans are numbered in the order of the program, each within the iteration that it stands in."""
        self._scans[scans] = count = self._scans.get(scans, -1) + 1
        return (*scans, count)

    def _seal(self, eqn: Any, outer: tuple[Frame, ...], why: str = "") -> None:
        """Remembers the scopes that stay out of reach inside an equation."""
        why = why or _SEALED.get(eqn.primitive.name, f"a nested {eqn.primitive.name!r} that cannot be opened")
        for sub in core.jaxprs_in_params(eqn.params):
            for nested in body(sub)[0].eqns:
                inner, _ = frames(outer, scopes(nested), 0)
                self.sealed.update((frame.path, why) for frame in inner[len(outer) :] if frame.path)
                self._seal(nested, inner, why)


def _struct(atom: Atom) -> jax.ShapeDtypeStruct:
    aval: Any = atom.aval
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype)


def _can_peel(eqn: Any) -> bool:
    """Whether a scan has iterations, and a named scope in them."""
    return eqn.params["length"] > 0 and has_scopes(body(eqn.params["jaxpr"])[0])


def _has_shardings(eqn: core.JaxprEqn) -> bool:
    """Whether a nested jit asks for shardings, which inlining would lose."""
    shardings = (*eqn.params.get("in_shardings", ()), *eqn.params.get("out_shardings", ()))
    return any(isinstance(s, jax.sharding.Sharding) for s in shardings)


def _refuse_effects(eqn: core.JaxprEqn) -> None:
    """References and ordered effects cannot be cut in two; printing may go with dead code."""
    effects = [str(effect) for effect in eqn.effects if "Debug" not in type(effect).__name__]
    if effects:
        raise ValueError(
            f"model: its function has a side effect ({eqn.primitive.name!r}: {', '.join(effects)}), "
            "but camjax needs a pure function of (params, x). Remedy: remove the effect from the function "
            "given to camjax.Model."
        )
