"""The ReLUs of a program, however they are written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from camjax.trace._look import Look
from camjax.trace._lookalikes import is_guard, is_part, is_shifted
from camjax.trace._program import Atom, Equation, Program, Value, is_float, reached

# What a refusal calls other nonlinearities, by the primitive that gives them away.
_OTHERS = {
    "erf": "GELU (erf)",
    "erfc": "GELU (erfc)",
    "logistic": "sigmoid or SiLU (logistic)",
    "tanh": "tanh or GELU's approximation (tanh)",
    "expm1": "ELU (expm1)",
    "log1p": "softplus (log1p)",
    "sin": "sine (sin)",
}


class Relu(NamedTuple):
    """`output = min(max(z, 0), cap)`; the cap is infinite but for ReLU6 and its like."""

    z: Value
    output: Value
    cap: float = math.inf


class Found(NamedTuple):
    """The ReLUs of a program, and the names of its other nonlinearities."""

    relus: list[Relu]
    others: list[str]


def find(program: Program, equations: Sequence[Equation], known: Mapping[Value, float], inner: bool = False) -> Found:
    """Finds every ReLU that acts on what is computed from the input.

    Args:
        program: where they are looked for.
        equations: those of its equations that are alive.
        known: values that are one number, told from outside.
        inner: whether this is the body of a loop or call, whose arguments may be anything.

    Written as `max(z, 0)`, as `where(z > 0, z, 0)`, as `z * (z > 0)`, or clamped, with a cap before or after.
    None of these is a ReLU:

    - the guard of a root or logarithm over a statistic, such as the `max(0, variance)` of a layer normalisation;
    - a part of another pointwise function of the same `z` (softplus, CELU, hard-swish), which meets it again;
    - a capped ramp that does not start at zero, `relu6(z + 3)`: a hard sigmoid, the gate of squeeze-and-excitation;
    - a capped ramp of the raw input, before any weight: a picture clipped to its range;
    - what is computed from parameters alone, or is no float.
    """
    look = Look(program, equations, known)
    behind = reached(equations, [*program.params, *program.consts])
    candidates = [relu for e in equations if (relu := _capped(look, e)) is not None]
    relus, others = [], {_OTHERS[e.name]: None for e in equations if e.name in _OTHERS and look.depends(e.outputs[0])}
    for e in equations:
        if _is_leaky(look, e):
            others["leaky ReLU"] = None
    for relu in candidates:
        if is_guard(look, relu.z, relu.output) or (relu.cap < math.inf and not inner and relu.z not in behind):
            continue
        if is_part(look, relu.z, relu.output, [other.output for other in candidates if other.z is relu.z]):
            others["a function with a ReLU as a part, such as softplus, CELU or hard-swish"] = None
        elif relu.cap < math.inf and is_shifted(look, relu.z):
            others["hard sigmoid"] = None
        else:
            relus.append(relu)
    return Found(relus, list(others))


def _ramp(look: Look, e: Equation) -> Relu | None:
    """What one equation computes, if that is a ReLU."""
    (output,), z, cap = e.outputs[:1], None, math.inf
    if e.name == "max" and (found := look.beside(e)) and found[1] == 0:
        z = found[0]
    elif e.name == "clamp" and look.number(e.inputs[0]) == 0:
        z, cap = e.inputs[1], look.number(e.inputs[2])
    elif e.name == "select_n" and (kept := _kept(look, e)) and look.number(kept[1]) == 0:
        z = kept[0]
    elif e.name == "mul":
        for one, other in (e.inputs, e.inputs[::-1]):
            cast = look.of(other)
            if cast is not None and cast.name == "convert_element_type" and _sign(look, cast.inputs[0]) == (one, 1):
                z = one
    if not isinstance(z, Value) or cap is None or not look.depends(z) or not is_float(z):
        return None
    return Relu(z, output, cap) if z.aval.dtype == output.aval.dtype and z.shape == output.shape else None


def _capped(look: Look, e: Equation) -> Relu | None:
    """The same, with the minimum that follows or precedes it."""
    relu = _ramp(look, e)
    if relu is None or relu.cap < math.inf:
        return relu
    after = look.readers(relu.output)
    if len(after) == 1 and after[0] is not None and after[0].name == "min" and (cap := look.beside(after[0])):
        return Relu(relu.z, after[0].outputs[0], cap[1]) if cap[1] > 0 else None
    before = look.of(relu.z)
    if before is not None and before.name == "min" and (cap := look.beside(before)) and cap[1] > 0:
        alone = all(reader is e for reader in look.readers(relu.z))
        return Relu(cap[0], relu.output, cap[1]) if alone else relu
    return relu


def _sign(look: Look, predicate: Atom) -> tuple[Atom, int] | None:
    """z and 1 where a predicate says that z is positive, z and -1 where it says that z is negative."""
    e = look.of(predicate)
    if e is None or e.name not in ("gt", "ge", "lt", "le"):
        return None
    up = 1 if e.name in ("gt", "ge") else -1
    if look.number(e.inputs[1]) == 0:
        return e.inputs[0], up
    return (e.inputs[1], -up) if look.number(e.inputs[0]) == 0 else None


def _kept(look: Look, e: Equation) -> tuple[Value, Atom] | None:
    """z and the other case of a selection that keeps z where that is positive."""
    found = _sign(look, e.inputs[0]) if len(e.inputs) == 3 else None
    if found is None:
        return None
    other, kept = e.inputs[1:] if found[1] > 0 else e.inputs[:0:-1]
    return (kept, other) if kept is found[0] and isinstance(kept, Value) else None


def _is_leaky(look: Look, e: Equation) -> bool:
    """Whether an equation keeps z where it is positive, and a part of it elsewhere."""
    kept = _kept(look, e) if e.name == "select_n" else None
    scaled = look.of(kept[1]) if kept else None
    return kept is not None and scaled is not None and scaled.name == "mul" and kept[0] in scaled.inputs
