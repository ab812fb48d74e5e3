"""Sums, means, extremes and the softmax over axes."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from camjax_torch.ops._table import op
from camjax_torch.ops.dtypes import jax_dtype


@op("softmax.int", "_softmax.default")
def softmax(x, dim, dtype=None):
    """exp(x) / sum of exp(x) over an axis."""
    # the third argument of _softmax is a flag (half_to_float) that evaluation on a CPU never sets
    return jax.nn.softmax(x if not dtype else x.astype(jax_dtype(dtype)), axis=dim)


@op("log_softmax.int", "_log_softmax.default")
def log_softmax(x, dim, dtype=None):
    """The logarithm of the softmax over an axis."""
    return jax.nn.log_softmax(x if not dtype else x.astype(jax_dtype(dtype)), axis=dim)


def _axes(dim):
    """Torch's empty list of axes means all of them."""
    if dim is None or isinstance(dim, int):
        return dim
    return tuple(dim) or None


@op("mean.default", "mean.dim")
def mean(x, dim=None, keepdim=False, *, dtype=None):
    """The mean over axes."""
    return x.mean(_axes(dim), keepdims=keepdim, dtype=jax_dtype(dtype))


@op("sum.default", "sum.dim_IntList")
def sum_(x, dim=None, keepdim=False, *, dtype=None):
    """The sum over axes."""
    return x.sum(_axes(dim), keepdims=keepdim, dtype=jax_dtype(dtype))


@op("amax.default")
def amax(x, dim=(), keepdim=False):
    """The largest value over axes."""
    return x.max(_axes(dim), keepdims=keepdim)


@op("amin.default")
def amin(x, dim=(), keepdim=False):
    """The smallest value over axes."""
    return x.min(_axes(dim), keepdims=keepdim)


@op("max.default")
def max_(x):
    """The largest of all values."""
    return x.max()


@op("max.dim")
def max_dim(x, dim, keepdim=False):
    """The largest value over an axis, and where it stands."""
    return x.max(dim, keepdims=keepdim), x.argmax(dim, keepdims=keepdim)


@op("argmax.default")
def argmax(x, dim=None, keepdim=False):
    """Where the largest value stands."""
    return x.argmax(dim, keepdims=keepdim)


@op("any.default", "any.dim", "any.dims")
def any_(x, dim=None, keepdim=False):
    """Whether any value over axes is true."""
    return jnp.any(x, _axes(dim), keepdims=keepdim)


def _variance(x, dim, correction, keepdim):
    axes = _axes(dim)
    return jnp.var(x, axes, ddof=1 if correction is None else int(correction), keepdims=keepdim)


@op("var.correction", "var.dim")
def var(x, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The variance over axes, divided by (count - correction)."""
    return _variance(x, dim, int(unbiased) if unbiased is not None else correction, keepdim)


@op("std.correction", "std.dim")
def std(x, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The standard deviation over axes."""
    return jnp.sqrt(var(x, dim, unbiased, keepdim, correction=correction))


@op("var_mean.correction")
def var_mean(x, dim=None, *, correction=None, keepdim=False):
    """The variance and the mean over axes."""
    return _variance(x, dim, correction, keepdim), x.mean(_axes(dim), keepdims=keepdim)


@op("cumsum.default")
def cumsum(x, dim, *, dtype=None):
    """The running sum along an axis."""
    return jnp.cumsum(x, dim, dtype=jax_dtype(dtype))
