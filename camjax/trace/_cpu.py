"""The last pass: convolutions, and products, that XLA's CPU backend is slow at are evaluated by equal expressions.

Other platforms' compilers get the convolution as it was. What is faster, and when, was measured with
`benchmarks/convolutions.py`; its tables are in `benchmarks/convolutions.md`. What the whole pass brings to networks,
products included, is in `benchmarks/forward.md`.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from camjax.trace import _cpu_kernels, _cpu_order
from camjax.trace._cpu_grouped import grouped
from camjax.trace._cpu_kernels import Kernel, Window, closed
from camjax.trace._cpu_once import averaged
from camjax.trace._cpu_order import Held
from camjax.trace._cpu_wide import convolve
from camjax.trace._program import Atom, Equation, Value, dtype_of, evaluate, is_float, read, shape_of
from camjax.trace._winograd import winograd

_TAPS = 81  # a sum of more terms takes long to compile
_UNFOLDED = 32  # a 3x3 window of three colours has 27
_CHANNELS, _AREA = 64, 64 * 64  # at least, and at most, for F(2x2, 3x3)
_AS_IT_IS: contextvars.ContextVar[bool] = contextvars.ContextVar("as_it_is", default=False)


@contextlib.contextmanager
def as_it_is() -> Iterator[None]:
    """Inside, nothing is rewritten: for those who trace a half of the model to read its equations."""
    token = _AS_IT_IS.set(True)
    try:
        yield
    finally:
        _AS_IT_IS.reset(token)


def run(equations: Sequence[Equation], env: dict[Value, Any], wanted: Sequence[Atom], rewrite: bool) -> list[Any]:
    """The arrays of `wanted`, from those in `env`; of both ways each platform's compiler sees one."""

    def plain(*arrays: Any) -> list[Any]:
        own = dict(zip(given, arrays, strict=True))
        evaluate(equations, own)
        return [read(own, atom) for atom in wanted]

    def fast(*arrays: Any) -> list[Any]:
        kept = averaged(equations, lambda e: _convolves(e) and choose(e) is _cpu_kernels.depthwise)
        return _cpu_order.evaluate(equations, dict(zip(given, arrays, strict=True)), wanted, _special, kept)

    used = {value for e in equations for value in e.values} | {atom for atom in wanted if isinstance(atom, Value)}
    given = [value for value in env if value in used]
    arrays = [env[value] for value in given]
    if not rewrite or _AS_IT_IS.get() or all(choose(e) is None for e in equations if _convolves(e)):
        return plain(*arrays)
    return lax.platform_dependent(*arrays, cpu=fast, default=plain)


def _convolves(e: Equation) -> bool:
    return e.name == "conv_general_dilated"


def _special(e: Equation, inputs: Sequence[Held]) -> Held | None:
    """A convolution with the channels last, by what is faster; a product with a weight."""
    if e.name == "dot_general" and all(map(is_float, e.inputs)) and len(shape_of(e.inputs[1])) == 2:
        x, k = (h.to(range(len(h.order))) for h in inputs)
        (y,) = e.at((closed(x), k))
        return Held(y, tuple(range(y.ndim)))
    if not _convolves(e):
        return None
    dims = e.params["dimension_numbers"]
    x = inputs[0].to((dims.lhs_spec[0], *dims.lhs_spec[2:], dims.lhs_spec[1]))
    k = inputs[1].to((*dims.rhs_spec[2:], dims.rhs_spec[1], dims.rhs_spec[0]))
    kernel = choose(e)
    y = _plain(e, x, k) if kernel is None else _kernel(kernel, _window(e), x, k)
    return Held(y, (dims.out_spec[0], *dims.out_spec[2:], dims.out_spec[1]))


def _plain(e: Equation, x: Any, k: Any) -> Any:
    n = x.ndim
    image, kernel = (0, n - 1, *range(1, n - 1)), (n - 1, n - 2, *range(n - 2))
    params = {**e.params, "dimension_numbers": lax.ConvDimensionNumbers(image, kernel, image)}
    return Equation(e.eqn.replace(params=params), e.inputs, e.outputs).at((x, k))[0]


@functools.partial(jax.jit, static_argnums=(0, 1))  # so that equal layers are traced once
def _kernel(kernel: Kernel, window: Window, x: Any, k: Any) -> Any:
    return kernel(window, x, k)


def choose(e: Equation) -> Kernel | None:
    """The expression that is faster than a convolution on a CPU; None: it is best left as it is."""
    dims, groups = e.params["dimension_numbers"], e.params["feature_group_count"]
    x, k = map(shape_of, e.inputs)
    turned = any(d != 1 for d in e.params["lhs_dilation"]) or e.params["batch_group_count"] != 1
    if turned or 0 in (*x, *k) or 0 in shape_of(e.outputs[0]) or not is_float(e.inputs[0]):
        return None
    taps, channels = tuple(k[d] for d in dims.rhs_spec[2:]), x[dims.lhs_spec[1]]
    if groups == channels > 1 and math.prod(taps) <= _TAPS:
        return _cpu_kernels.depthwise
    if groups > 1:
        return grouped
    if math.prod(taps) == 1:
        return _cpu_kernels.pointwise
    window = _window(e)
    if window.strides == taps and window == window._replace(padding=((0, 0),) * len(taps), dilation=(1,) * len(taps)):
        return _cpu_kernels.tiles
    if max(window.strides) > 1 and channels * math.prod(taps) <= _UNFOLDED:
        return _cpu_kernels.unfolded
    if taps == (3, 3) and window.strides == window.dilation == (1, 1) and _dense_enough(e, x, dims.lhs_spec):
        return winograd
    return convolve


def _dense_enough(e: Equation, x: Sequence[int], spec: Sequence[int]) -> bool:
    # Many channels on a small map: else the tiles, four times the map, take longer than the products save.
    outputs = shape_of(e.outputs[0])[e.params["dimension_numbers"].out_spec[1]]
    area = math.prod(x[axis] for axis in spec[2:])
    dtype = dtype_of(e.inputs[0])  # what is summed before the product is rounded to it
    exact = jnp.finfo(dtype).bits >= 32 and e.params["preferred_element_type"] in (None, dtype)
    return exact and min(x[spec[1]], outputs) >= _CHANNELS and area <= _AREA


def _window(e: Equation) -> Window:
    p = e.params
    padding = tuple(map(tuple, p["padding"]))
    return Window(
        tuple(p["window_strides"]), padding, tuple(p["rhs_dilation"]), p["precision"], p["preferred_element_type"]
    )
