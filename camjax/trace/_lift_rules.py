"""The rules of DeepLIFT, one for each kind of equation; all of them keep the sum.

With D = z - z0 and d = f(z) - f(z0), multipliers m_out of the outputs become m_in of the inputs so that
sum m_in D = sum m_out d, exactly:

- `linear`, and products of two inputs (matrix products and convolutions as well): the derivative midway between the
  two points, which for a product is the mean of the two orders in which its factors can change;
- `rescale`, a function of one input, entry by entry: d / D; the derivative where D is too small to divide by;
- `quotient`: a / b as the product of a and 1 / b, the latter by `rescale`;
- `selection`, a maximum (of a window, an axis, or two inputs): the whole of d goes to the entry that is the maximum at
  the point where the maximum is larger; for a minimum, likewise. No multiplier exceeds that of the output;
- `choice`, `where(p, a, b)` whose condition changes: a product with p and 1 - p, p being a number;
- `shapley`, any other function of few inputs, entry by entry: the mean over all orders in which they can change;
- `secant`, any other equation (a scan, a sort): the mean of the derivatives at both points, changed as little as
  possible (Broyden's change, a multiple of D) so that the sum is kept.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from camjax.trace._kinds import MOVES, POINTWISE, Kind, kind, moving
from camjax.trace._program import Equation, Value, is_float

# Smooth functions, whose derivative midway is d / D up to D^2: those that bend on the scale of 1, and on that of z.
_BEND_AT_ONE = frozenset(
    {"exp", "exp2", "expm1", "tanh", "logistic", "erf", "erfc", "sin", "cos", "log1p", "sinh", "cosh", "atan", "asinh"}
)
_BEND_AT_Z = frozenset({"sqrt", "rsqrt", "cbrt", "log", "pow", "integer_pow", "square", "div"})

Rule = Callable[..., list[Any]]


def rule(e: Equation, changing: Collection[Value]) -> Rule:
    """The rule for an equation whose inputs in `changing` change."""
    what, inputs = kind(e, changing), moving(e, changing)
    if e.name in ("stop_gradient", "convert_element_type") and is_float(e.outputs[0]):
        return handed_on
    if what in (Kind.LINEAR, Kind.AFFINE, Kind.BILINEAR) or (e.name in MOVES and len(inputs) == len(e.inputs)):
        return linear
    if what is Kind.SELECTION:
        return selection
    if e.name == "select_n" and inputs[0] == 0 and len(e.inputs) == 3:
        return choice
    if e.name in POINTWISE and len(inputs) == 1:
        return rescale
    if e.name == "div":
        return quotient
    if e.name in POINTWISE and len(inputs) <= 3:
        return shapley
    return secant


def number(a: Any) -> Any:
    """An array as numbers of the default width: predicates are 0 and 1, halves are not subtracted in halves."""
    return jnp.asarray(a, float)


def handed_on(e: Equation, inputs: Any, z: Any, z0: Any, f: Any, f0: Any, m: Any) -> list[Any]:
    """What is the same number in another dtype, or without its gradient."""
    return [m[0]]


def linear(e: Equation, inputs: Any, z: Any, z0: Any, f: Any, f0: Any, m: Any) -> list[Any]:
    """The derivative midway, for functions that are linear in each input."""
    midway = [(number(z[i]) + number(z0[i])) / 2 for i in inputs]
    if e.name == "mul" and len(inputs) == 2:
        return [_onto(_times(m[0], jnp.broadcast_to(b, m[0].shape)), z[i]) for i, b in enumerate(midway[::-1])]
    floats = [a.astype(z[i].dtype) if is_float(e.inputs[i]) else a for i, a in zip(inputs, midway, strict=True)]
    return _pulled(_free(e, inputs, z), floats, m)


def rescale(e: Equation, inputs: Any, z: Any, z0: Any, f: Any, f0: Any, m: Any) -> list[Any]:
    """d / D."""
    (i,) = inputs
    here, there = (jnp.broadcast_to(number(a[i]), f[0].shape) for a in (z, z0))
    change = here - there
    slope = _quotient(number(f[0]) - number(f0[0]), change)
    if is_float(e.inputs[i]) and is_float(e.outputs[0]):
        middle = ((here + there) / 2).astype(z[i].dtype)
        function = _free(e, inputs, z)
        # Entry by entry, so that along ones it is each entry's own derivative.
        derivative = number(jax.jvp(lambda a: function(a)[0], (middle,), (jnp.ones_like(middle),))[1])
        near = change == 0
        step = float(jnp.finfo(change.dtype).eps) ** (1 / 3)
        if e.name in _BEND_AT_ONE:
            near = jnp.abs(change) < step
        if e.name in _BEND_AT_Z:
            near = near | (jnp.abs(change) < step * jnp.minimum(jnp.abs(here), jnp.abs(there)))
        slope = jnp.where(near & jnp.isfinite(derivative), derivative, slope)
    return [_onto(_times(m[0], slope), z[i])]


def quotient(e: Equation, inputs: Any, z: Any, z0: Any, f: Any, f0: Any, m: Any) -> list[Any]:
    """a / b, where both change."""
    a, b, a0, b0 = (jnp.broadcast_to(number(v), f[0].shape) for v in (*z, *z0))
    above, below = (1 / b + 1 / b0) / 2, -(a + a0) / 2 / b / b0
    return [_onto(_times(m[0], above), z[0]), _onto(_times(m[0], below), z[1])]


def selection(e: Equation, inputs: Any, z: Any, z0: Any, f: Any, f0: Any, m: Any) -> list[Any]:
    """All of d to the entry that is chosen where the choice is the more extreme."""
    function = _free(e, inputs, z)
    here, there = ([a[i] for i in inputs] for a in (z, z0))
    d = number(f[0]) - number(f0[0])
    farther = d >= 0 if "max" in e.name else d <= 0
    nothing = jnp.zeros_like(d)
    taken = _pulled(function, here, [jnp.where(farther, m[0] * d, nothing)])
    given = _pulled(function, there, [jnp.where(farther, nothing, m[0] * d)])
    alike = _pulled(function, here, m)
    changes = [number(a) - number(b) for a, b in zip(here, there, strict=True)]
    pairs = zip(taken, given, changes, alike, strict=True)
    return [_quotient(a + b, change, same) for a, b, change, same in pairs]


def choice(e: Equation, inputs: Any, z: Any, z0: Any, f: Any, f0: Any, m: Any) -> list[Any]:
    """All to the case that holds; where another one holds at the reference, half, and the condition its share."""
    p, a, b = (jnp.broadcast_to(number(v), f[0].shape) for v in z)
    p0, a0, b0 = (jnp.broadcast_to(number(v), f[0].shape) for v in z0)
    turned, d = (b + b0 - a - a0) / 2, number(f[0]) - number(f0[0])
    # The case that is not taken need not be finite. Then all of the difference is the condition's.
    half, nothing = jnp.where(jnp.isfinite(turned), 0.5, 0.0), jnp.zeros_like(d)
    of_p = jnp.where(p == p0, nothing, jnp.where(jnp.isfinite(turned), turned, d * (p - p0)))
    of_a, of_b = jnp.where(p == p0, 1 - p, half), jnp.where(p == p0, p, half)
    return [_onto(m[0] * (of_p, of_a, of_b)[i], z[i]) for i in inputs]


def shapley(e: Equation, inputs: Any, z: Any, z0: Any, f: Any, f0: Any, m: Any) -> list[Any]:
    """The mean change of f when an input changes, over all orders in which they can."""
    values: dict[frozenset[int], Any] = {}
    for size in range(len(inputs) + 1):
        for changed in map(frozenset, itertools.combinations(inputs, size)):
            arguments = [z[i] if i in changed or i not in inputs else z0[i] for i in range(len(z))]
            values[changed] = number(e.at(arguments)[0])
    out = []
    for i in inputs:
        share = jnp.zeros_like(m[0])
        for without in values:
            if i not in without:
                k, n = len(without), len(inputs)
                weight = math.factorial(k) * math.factorial(n - k - 1) / math.factorial(n)
                share = share + weight * (values[without | {i}] - values[without])
        change = jnp.broadcast_to(number(z[i]) - number(z0[i]), share.shape)
        out.append(_onto(_times(m[0], _quotient(share, change)), z[i]))
    return out


def secant(e: Equation, inputs: Any, z: Any, z0: Any, f: Any, f0: Any, m: Any) -> list[Any]:
    """The mean derivative, with the least change that keeps the sum."""
    floats = [i for i in inputs if is_float(e.inputs[i])]
    outputs = [n for n, v in enumerate(e.outputs) if is_float(v)]
    base = {i: jnp.zeros(jnp.shape(z[i])) for i in inputs}
    for point in (z, z0) if floats and outputs else ():
        function = _free(e, floats, point)
        try:
            slopes = _pulled(
                lambda *a, g=function: [g(*a)[n] for n in outputs], [point[i] for i in floats], [m[n] for n in outputs]
            )
        except (ValueError, NotImplementedError) as error:
            raise ValueError(
                f"method: LIFT-CAM needs the derivative of every equation of the head, and JAX has none of {e.name!r} "
                f"({str(error).splitlines()[0]}) Name a layer behind it, or choose another method."
            ) from error
        for i, g in zip(floats, slopes, strict=True):
            base[i] = base[i] + jnp.where(jnp.isfinite(g), g, jnp.zeros_like(g)) / 2
    changes = {i: number(z[i]) - number(z0[i]) for i in inputs}
    wanted = sum(jnp.vdot(a, number(b) - number(b0)) for a, b, b0 in zip(m, f, f0, strict=True))
    missing = wanted - sum(jnp.vdot(base[i], changes[i]) for i in inputs)
    factor = _quotient(missing, sum(jnp.vdot(c, c) for c in changes.values()))
    return [base[i] + factor * changes[i] for i in inputs]


def _free(e: Equation, inputs: Sequence[int], arguments: Sequence[Any]) -> Callable[..., list[Any]]:
    """An equation as a function of some of its inputs."""
    return lambda *z: e.at([z[inputs.index(i)] if i in inputs else a for i, a in enumerate(arguments)])


def _pulled(function: Callable[..., list[Any]], point: Sequence[Any], m: Sequence[Any]) -> list[Any]:
    """The vjp of a function at a point."""
    out, pull = jax.vjp(function, *point)
    return [number(g) for g in pull([a.astype(o.dtype) for a, o in zip(m, out, strict=True)])]


def _quotient(a: Any, b: Any, otherwise: Any = None) -> Any:
    """a / b, and `otherwise` (0) where b is 0."""
    none = b == 0
    return jnp.where(
        none, jnp.zeros_like(a) if otherwise is None else otherwise, a / jnp.where(none, jnp.ones_like(b), b)
    )


def _times(m: Any, slope: Any) -> Any:
    """m times a slope, which need not be finite where nothing reads the result."""
    return jnp.where(m == 0, jnp.zeros_like(m), m * slope)


def _onto(share: Any, like: Any) -> Any:
    """The sum over what was broadcast, in the shape of an input."""
    if share.shape == like.shape:
        return share
    axes = tuple(d for d in range(share.ndim) if like.ndim == 0 or like.shape[d] != share.shape[d])
    return share.sum(axes).reshape(like.shape)
