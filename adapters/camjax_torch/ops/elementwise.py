"""Elementwise operations: arithmetic, comparisons, activations."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from camjax_torch.ops._table import op


def _enter_all(functions: dict[str, Callable[..., Any]], overloads: tuple[str, ...] = ("default",)) -> None:
    """Enter functions that JAX has under the same arguments as torch."""
    for name, function in functions.items():
        op(*(f"{name}.{overload}" for overload in overloads))(function)


_enter_all(
    {
        "relu": jax.nn.relu, "relu6": jax.nn.relu6, "silu": jax.nn.silu, "sigmoid": jax.nn.sigmoid,
        "hardswish": jax.nn.hard_swish, "hardsigmoid": jax.nn.hard_sigmoid, "mish": jax.nn.mish,
        "log_sigmoid": jax.nn.log_sigmoid, "selu": jax.nn.selu,
        "tanh": jnp.tanh, "exp": jnp.exp, "expm1": jnp.expm1, "log": jnp.log, "log1p": jnp.log1p,
        "log2": jnp.log2, "sqrt": jnp.sqrt, "rsqrt": lax.rsqrt, "sin": jnp.sin, "cos": jnp.cos,
        "erf": lax.erf, "abs": jnp.abs, "neg": jnp.negative,
        "sign": jnp.sign, "floor": jnp.floor, "ceil": jnp.ceil, "round": jnp.round, "trunc": jnp.trunc,
        "reciprocal": jnp.reciprocal, "square": jnp.square, "maximum": jnp.maximum, "minimum": jnp.minimum,
        "logical_not": jnp.logical_not, "logical_and": jnp.logical_and, "logical_or": jnp.logical_or,
        "bitwise_not": jnp.invert,
    }
)  # fmt: skip
_enter_all(
    {
        "mul": operator.mul, "remainder": jnp.remainder, "fmod": jnp.fmod,
        "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le,
        "gt": operator.gt, "ge": operator.ge, "bitwise_and": operator.and_, "bitwise_or": operator.or_,
        "__and__": operator.and_, "__or__": operator.or_,
    },
    ("Tensor", "Scalar"),
)  # fmt: skip
_enter_all({"pow": operator.pow}, ("Tensor_Tensor", "Tensor_Scalar", "Scalar"))
_enter_all({"floor_divide": operator.floordiv}, ("default", "Scalar"))
_enter_all({"true_divide": operator.truediv}, ("Tensor", "Scalar"))


@op("add.Tensor", "add.Scalar")
def add(a, b, alpha=1):
    """A + alpha b."""
    return a + (b if alpha == 1 else alpha * b)


@op("sub.Tensor", "sub.Scalar")
def sub(a, b, alpha=1):
    """A - alpha b."""
    return a - (b if alpha == 1 else alpha * b)


@op("rsub.Tensor", "rsub.Scalar")
def rsub(a, b, alpha=1):
    """B - alpha a."""
    return sub(b, a, alpha)


@op("div.Tensor", "div.Scalar", "div.Tensor_mode", "div.Scalar_mode")
def div(a, b, *, rounding_mode=None):
    """A / b, rounded towards zero (`"trunc"`) or down (`"floor"`) where asked."""
    if rounding_mode == "floor":
        return a // b
    quotient = a / b
    if rounding_mode is None:
        return quotient
    return jnp.trunc(quotient).astype(jnp.result_type(a, b))


@op("addcmul.default")
def addcmul(x, a, b, *, value=1):
    """X + value a b."""
    return x + value * a * b


@op("lerp.Tensor", "lerp.Scalar")
def lerp(a, b, weight):
    """A + weight (b - a)."""
    return a + weight * (b - a)


@op("gelu.default")
def gelu(x, *, approximate="none"):
    """The Gaussian error linear unit, exact or (`"tanh"`) approximate."""
    if approximate == "tanh":
        return jax.nn.gelu(x, approximate=True)
    # Torch's own formula: `jax.nn.gelu` takes erfc, on which XLA's CPU backend needs five times as long.
    return x * ((1 + lax.erf(x * math.sqrt(0.5))) * 0.5)


@op("elu.default")
def elu(x, alpha=1, scale=1, input_scale=1):
    """The exponential linear unit."""
    return scale * jnp.where(x > 0, x, alpha * jnp.expm1(input_scale * jnp.minimum(x, 0)))


@op("celu.default")
def celu(x, alpha=1.0):
    """The continuously differentiable exponential linear unit."""
    return jax.nn.celu(x, alpha)


@op("leaky_relu.default")
def leaky_relu(x, negative_slope=0.01):
    """The rectifier with a slope below zero."""
    return jax.nn.leaky_relu(x, negative_slope)


@op("prelu.default", "_prelu_kernel.default")
def prelu(x, weight):
    """The rectifier with a learnt slope below zero, one or one per channel."""
    weight = weight if weight.ndim == x.ndim or x.ndim < 2 else weight.reshape(-1, *(1,) * (x.ndim - 2))
    return jnp.where(x > 0, x, weight * x)


@op("softplus.default")
def softplus(x, beta=1, threshold=20):
    """log(1 + exp(beta x)) / beta, the line x above `threshold`."""
    scaled = beta * x
    return jnp.where(scaled > threshold, x, jax.nn.softplus(scaled) / beta)


@op("glu.default")
def glu(x, dim=-1):
    """The first half times the sigmoid of the second."""
    return jax.nn.glu(x, dim)


@op("hardtanh.default")
def hardtanh(x, min_val=-1, max_val=1):
    """X within bounds; between 0 and 6 it is ReLU6 and stays recognisable as a rectifier."""
    return jax.nn.relu6(x) if (min_val, max_val) == (0, 6) else jnp.clip(x, min_val, max_val)


@op("clamp.default", "clamp.Tensor", "clip.default")
def clamp(x, min=None, max=None):
    """X within bounds."""
    return jnp.clip(x, min, max)


@op("clamp_min.default", "clamp_min.Tensor")
def clamp_min(x, min):
    """X, or `min` where x is less."""
    return jnp.maximum(x, min)


@op("clamp_max.default", "clamp_max.Tensor")
def clamp_max(x, max):
    """X, or `max` where x is more."""
    return jnp.minimum(x, max)


@op("where.self", "where.ScalarOther", "where.ScalarSelf", "where.Scalar")
def where(condition, a, b):
    """A where the condition holds, else b."""
    return jnp.where(condition, a, b)


@op("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(x, mask, value):
    """X, with `value` where the mask is set."""
    return jnp.where(mask, jnp.asarray(value, x.dtype), x)
