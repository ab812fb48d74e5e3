"""From a jaxpr to a flat program: nested calls are inlined, scans are peeled, scopes become absolute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from camjax.trace._program import Atom, Equation, Frame, Iteration, Program, Value

# Calls that only group equations, by the name of the parameter that holds their jaxpr.
_PLAIN_CALLS = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr"}
_REMAT_CALLS = {"remat2": "jaxpr", "checkpoint": "jaxpr", "remat": "jaxpr"}
_CUSTOM_CALLS = {"custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr"}

IDENTITY = "camjax:identity"  # the name that adapters give to the output of a module that computes nothing
_ITERATION = "@["  # marks the inlined iteration of a peeled scan
_FOLDED = "@folded"  # marks the iterations before and after it, which stay a scan


def flatten(
    closed: core.ClosedJaxpr, n_params: int, peel: Mapping[tuple[int, ...], int] | None = None
) -> Program:
    """Flattens `closed`, whose first `n_params` arguments are the parameters and whose others are the input.

    `peel` says which iteration of a scan is inlined, the last one where it says nothing.
    """
    jaxpr, consts = _body(closed)
    flat = _Flattener(dict(peel or {}))
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
    )


class _Flattener:
    """What flattening has collected so far."""

    def __init__(self, peel: dict[tuple[int, ...], int]) -> None:
        self.peel = peel
        self.equations: list[Equation] = []
        self.consts: dict[Value, Any] = {}
        self.regions: dict[int, Equation] = {}
        self.silent: list[tuple[tuple[Frame, ...], Atom]] = []
        self._const_of: dict[int, Value] = {}
        self._visits: dict[int, int] = {}

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
        n_scans = 0
        for eqn in jaxpr.eqns:
            inputs = tuple(v if isinstance(v, core.Literal) else env[v] for v in eqn.invars)
            name, inner, folded = eqn.primitive.name, *_frames(frames, _scopes(eqn), visit)
            if name == "name":  # jax.ad_checkpoint.checkpoint_name: an identity
                outputs: Sequence[Atom] = inputs
                if eqn.params["name"] == IDENTITY:
                    self.silent.append((inner, inputs[0]))
            elif name in _REMAT_CALLS or (name in _PLAIN_CALLS and not _has_shardings(eqn)):
                outputs = self.walk(
                    *_body(eqn.params[{**_PLAIN_CALLS, **_REMAT_CALLS}[name]]), inputs, inner, regions, scans
                )
            elif name in _CUSTOM_CALLS:
                outputs = self._custom(eqn, inputs, inner, regions, scans)
            elif name == "scan" and not folded and _has_scopes(_body(eqn.params["jaxpr"])[0]):
                outputs = self._peel(eqn, inputs, inner, regions, (*scans, n_scans))
                n_scans += 1
            else:
                _refuse_effects(eqn)
                outputs = tuple(Value(v.aval) for v in eqn.outvars)
                self.equations.append(Equation(eqn, inputs, outputs, inner, regions))
            env.update(zip(eqn.outvars, outputs, strict=True))
        return [v if isinstance(v, core.Literal) else env[v] for v in jaxpr.outvars]

    def _const(self, array: Any) -> Value:
        """A captured array, the same value however often it is captured."""
        if id(array) not in self._const_of:
            self._const_of[id(array)] = value = Value(jax.typeof(array))
            self.consts[value] = array
        return self._const_of[id(array)]

    def _custom(
        self, eqn: Any, inputs: tuple[Atom, ...], frames: Any, regions: Any, scans: Any
    ) -> list[Atom]:
        """Opens a call with a custom derivative, and keeps what is needed to close it again."""
        number = len(self.regions)
        self.regions[number] = Equation(
            eqn, inputs, (), frames, regions
        )  # takes the number before inner calls do
        outputs = self.walk(
            *_body(eqn.params[_CUSTOM_CALLS[eqn.primitive.name]]), inputs, frames, (*regions, number), scans
        )
        unseen = {v for e in self.equations if number in e.regions for v in e.outputs}
        slots: list[Value] = []
        for var, atom in zip(eqn.outvars, outputs, strict=True):
            if isinstance(atom, Value) and atom in unseen:
                slots.append(atom)
                unseen.remove(atom)
            else:  # only handed through, or returned twice: nothing reads this result of the closed call
                slots.append(Value(var.aval))
        self.regions[number] = Equation(eqn, inputs, tuple(slots), frames, regions)
        return outputs

    def _peel(
        self, eqn: Any, inputs: tuple[Atom, ...], frames: Any, regions: Any, scan: tuple[int, ...]
    ) -> list[Atom]:
        """Inlines one iteration of a scan, between a scan over those before it and one over those after it."""
        length = eqn.params["length"]
        index = self.peel.get(scan, (length - 1) if not eqn.params["reverse"] else 0)
        peeled = _peeled(eqn, Iteration(scan, index, length))
        closed = jax.make_jaxpr(peeled)(*(jax.ShapeDtypeStruct(a.aval.shape, a.aval.dtype) for a in inputs))
        return self.walk(*_body(closed), inputs, frames, regions, scan)


def _peeled(eqn: Any, iteration: Iteration) -> Callable[..., list[Any]]:
    """The function of a scan equation with one iteration outside of any scan."""
    n_consts, n_carry = _scan_counts(eqn)
    body = core.jaxpr_as_fun(eqn.params["jaxpr"])
    length, reverse, i = iteration.length, eqn.params["reverse"], iteration.index
    mark = f"{_ITERATION}{','.join(map(str, iteration.scan))}:{i}:{length}]"

    def run(
        consts: Sequence[Any], carry: Sequence[Any], xs: Sequence[Any], n: int
    ) -> tuple[list[Any], list[Any]]:
        def step(carry: Any, x: Any) -> tuple[Any, Any]:
            out = body(*consts, *carry, *x)
            return out[:n_carry], out[n_carry:]

        with jax.named_scope(_FOLDED):
            return jax.lax.scan(step, list(carry), list(xs), length=n, reverse=reverse)

    def peeled(*arguments: Any) -> list[Any]:
        consts, carry, xs = (
            arguments[:n_consts],
            arguments[n_consts : n_consts + n_carry],
            arguments[n_consts + n_carry :],
        )
        spans = [(0, i), (i + 1, length)]
        parts: dict[int, list[Any]] = {}
        for position in (1, None, 0) if reverse else (0, None, 1):
            if position is None:
                with jax.named_scope(mark):
                    out = body(*consts, *carry, *(x[i] for x in xs))
                carry, parts[i] = out[:n_carry], [y[None] for y in out[n_carry:]]
            elif (span := spans[position])[0] < span[1]:
                start, stop = span
                carry, parts[start] = run(consts, carry, [x[start:stop] for x in xs], stop - start)
        ys = [jnp.concatenate(pieces) for pieces in zip(*(parts[k] for k in sorted(parts)), strict=True)]
        return [*carry, *ys]

    return peeled


def _scan_counts(eqn: Any) -> tuple[int, int]:
    """The numbers of constants and of carried values of a scan."""
    if "num_consts" in eqn.params:
        return eqn.params["num_consts"], eqn.params["num_carry"]
    consts, carry, _ = eqn.params["ft_in"].unpack()  # jax >= 0.11
    return len(consts), len(carry)


def _body(jaxpr: Any) -> tuple[core.Jaxpr, Sequence[Any]]:
    """A jaxpr and its constants, whether the two come apart (jax 0.10) or merged (jax >= 0.11)."""
    return getattr(jaxpr, "jaxpr", jaxpr), getattr(jaxpr, "consts", ())


def _scopes(eqn: core.JaxprEqn) -> list[str]:
    """The names of the scopes of an equation, relative to the jaxpr that it stands in, outermost first.

    The one place that reads name stacks. Transformations (`vmap`, `jvp`) on the stack are not scopes,
    and neither are the subscripts that `jnp.einsum` leaves there.
    """
    names = [item.name for item in eqn.source_info.name_stack.stack if type(item).__name__ == "Scope"]
    return [name for name in names if "->" not in name]


def _frames(outer: tuple[Frame, ...], names: Sequence[str], visit: int) -> tuple[tuple[Frame, ...], bool]:
    """The absolute frames of an equation, and whether it belongs to the rest of a peeled scan.

    The scopes of adapters begin with "@" and name a module's path and its call, whatever encloses them.
    """
    frames, folded = outer, False
    for name in names:
        iterations = frames[-1].iterations if frames else ()
        if name == _FOLDED:
            folded = True
        elif name.startswith(_ITERATION):
            scan, index, length = name[len(_ITERATION) : -1].split(":")
            iteration = Iteration(tuple(map(int, scan.split(","))), int(index), int(length))
            frames = (*frames, Frame("", "", (*iterations, iteration)))
        elif name.startswith("@"):
            path, _, call = name[1:].partition("#")
            frames = (*frames, Frame(path, f"{call}~{visit}", iterations))
        else:
            parent = next((f.path for f in reversed(frames) if f.path), "")
            path = name.replace("/", ".")
            frames = (*frames, Frame(f"{parent}.{path}" if parent else path, "", iterations))
    return frames, folded


def _has_scopes(jaxpr: core.Jaxpr) -> bool:
    """Whether anything inside a jaxpr is computed in a named scope."""
    nested = (sub for eqn in jaxpr.eqns for sub in core.jaxprs_in_params(eqn.params))
    return any(_scopes(eqn) for eqn in jaxpr.eqns) or any(_has_scopes(_body(sub)[0]) for sub in nested)


def _has_shardings(eqn: core.JaxprEqn) -> bool:
    """Whether a nested jit asks for shardings, which inlining would lose."""
    shardings = (*eqn.params.get("in_shardings", ()), *eqn.params.get("out_shardings", ()))
    return any(isinstance(s, jax.sharding.Sharding) for s in shardings)


def _refuse_effects(eqn: core.JaxprEqn) -> None:
    """References and ordered effects cannot be cut in two; printing and the like are dropped with dead code."""
    if eqn.effects and not eqn.primitive.name.startswith("debug"):
        raise ValueError(
            f"model: its function has a side effect ({eqn.primitive.name!r}: {', '.join(map(str, eqn.effects))}), but camjax needs "
            "a pure function of (params, x). Remedy: remove the effect from the function given to camjax.Model."
        )
