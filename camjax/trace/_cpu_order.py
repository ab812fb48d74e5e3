"""Evaluation with the channels last, wherever they are in the model: the order in which a CPU is fast.

A value is held in an order of its axes. A convolution leaves its result with the channels last, transposing changes
the order alone, and what is computed entry by entry, or window by window, keeps it. All else reads values as they are
in the model. So no array is moved between two convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax

from camjax.trace._cpu_kernels import closed
from camjax.trace._cpu_once import REDUCTIONS, once
from camjax.trace._cpu_windows import pooling
from camjax.trace._flatten import flatten
from camjax.trace._kinds import POINTWISE
from camjax.trace._program import Atom, Equation, Value, is_float, live

_ENTRIES = POINTWISE - {"sharding_constraint"}
_WINDOWS = ("reduce_window_sum", "reduce_window_max", "reduce_window_min")
_PER_AXIS = ("window_dimensions", "window_strides", "padding", "base_dilation", "window_dilation", "padding_config")


class Held(NamedTuple):
    """An array whose axis i is axis `order[i]` of the value that it holds."""

    array: Any
    order: tuple[int, ...]

    def to(self, order: Sequence[int]) -> Any:
        """The array with its axes in another order."""
        return (
            self.array if tuple(order) == self.order else lax.transpose(self.array, list(map(self.order.index, order)))
        )


Special = Callable[[Equation, Sequence[Held]], Held | None]


def evaluate(
    equations: Iterable[Equation],
    env: Mapping[Value, Any],
    wanted: Iterable[Atom],
    special: Special,
    kept: Collection[Value] = (),
) -> list[Any]:
    """The arrays of `wanted`, from those in `env`; what `special` returns goes before what is done here.

    Those of `kept` are computed once, whatever reads them.
    """
    held = {value: _plain(array) for value, array in env.items()}
    for e in equations:
        inputs = [held[atom] if isinstance(atom, Value) else _plain(atom.val) for atom in e.inputs]
        own = special(e, inputs)
        outputs = [own] if own is not None else _step(e, inputs)
        for value, output in zip(e.outputs, outputs, strict=True):
            held[value] = output._replace(array=once(output.array)) if value in kept else output
    return [_logical(held[atom]) if isinstance(atom, Value) else atom.val for atom in wanted]


def _step(e: Equation, inputs: Sequence[Held]) -> Sequence[Held]:
    order = next((h.order for h in inputs if h.order != tuple(range(len(h.order)))), None)
    if e.name == "transpose":
        (x,) = inputs
        moved = e.params["permutation"]
        return [Held(x.array, tuple(moved.index(axis) for axis in x.order))]
    if e.name in _WINDOWS and is_float(e.inputs[0]):
        (x,) = inputs
        own = _with(e, {k: _permuted(v, x.order) if k in _PER_AXIS else v for k, v in e.params.items()})
        return [Held(pooling(e.name, own.params, lambda array: own.at([array])[0], closed(x.array)), x.order)]
    if order is None:
        return list(map(_plain, e.at(map(_logical, inputs))))
    if e.name in _ENTRIES and all(len(h.order) in (0, len(order)) for h in inputs):
        return [Held(y, order) for y in e.at([h.to(order) if h.order else h.array for h in inputs])]
    if e.name == "custom_jvp_call" and len(inputs) == 1 and _entry_by_entry(e):
        return [Held(_custom(e, order)(inputs[0].array), order)]
    if e.name == "optimization_barrier":
        arrays = e.at([h.array for h in inputs])
        return [Held(array, h.order) for array, h in zip(arrays, inputs, strict=True)]
    if e.name in (*_WINDOWS, "pad"):
        params = {k: _permuted(v, order) if k in _PER_AXIS else v for k, v in e.params.items()}
        x, *rest = (h.to(order) if h.order else h.array for h in inputs)
        (y,) = _with(e, params).at((x, *rest))
        return [Held(y, order)]
    if e.name == "concatenate":
        axis = order.index(e.params["dimension"])
        (y,) = _with(e, {**e.params, "dimension": axis}).at([h.to(order) for h in inputs])
        return [Held(y, order)]
    if e.name in REDUCTIONS:
        axes = e.params["axes"]
        (y,) = _with(e, {**e.params, "axes": tuple(order.index(a) for a in axes)}).at([inputs[0].array])
        left = [a for a in order if a not in axes]
        return [Held(y, tuple(sorted(left).index(a) for a in left))]
    return list(map(_plain, e.at(map(_logical, inputs))))


def _plain(array: Any) -> Held:
    return Held(array, tuple(range(np.ndim(array))))


def _logical(held: Held) -> Any:
    return held.to(range(len(held.order)))


def _with(e: Equation, params: dict[str, Any]) -> Equation:
    return Equation(e.eqn.replace(params=params), e.inputs, e.outputs)


def _permuted(value: Any, order: Sequence[int]) -> Any:
    return None if value is None else tuple(value[axis] for axis in order)


def _entry_by_entry(e: Equation) -> bool:
    """Whether a call computes entry by entry of its one argument: a ReLU and its kin."""
    inner = flatten(e.params["call_jaxpr"], 0)
    shapes = {v.shape for i in inner.equations for v in (*i.values, *i.outputs) if v.shape}
    return not inner.consts and shapes == {inner.inputs[0].shape} and all(i.name in _ENTRIES for i in inner.equations)


def _custom(e: Equation, order: tuple[int, ...]) -> Callable[[Any], Any]:
    """The call for an array in another order, with the call's own derivative."""
    inner = flatten(e.params["call_jaxpr"], 0)

    @jax.custom_jvp
    def call(x: Any) -> Any:
        env = dict(zip(inner.inputs, [x], strict=True))
        return evaluate(live(inner.equations, inner.outputs), env, inner.outputs, lambda e, inputs: None)[0]

    def rule(primals: Any, tangents: Any) -> Any:
        def original(x: Any) -> Any:
            return lax.transpose(e.at([_logical(Held(x, order))])[0], order)

        return jax.jvp(original, primals, tangents)

    call.defjvp(rule)
    return call
