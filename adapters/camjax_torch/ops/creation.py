"""Arrays made from numbers, and arrays in another dtype."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from camjax_torch.ops._table import op
from camjax_torch.ops.dtypes import jax_dtype


@op("meshgrid.indexing")
def meshgrid(tensors, *, indexing):
    """Coordinate grids."""
    return jnp.meshgrid(*tensors, indexing=indexing)


@op("to.dtype", "to.dtype_layout", "_to_copy.default", "type_as.default", "to.other")
def to(x, dtype=None, *_, **options):
    """X in another dtype; devices and memory formats mean nothing here."""
    dtype = options.get("dtype", dtype)
    if isinstance(dtype, jax.Array):  # whose dtype is meant
        return x.astype(dtype.dtype)
    return x if dtype is None else x.astype(jax_dtype(dtype))


@op("full.default")
def full(size, fill_value, *, dtype=None, **_):
    """An array of one value."""
    return jnp.full(tuple(size), fill_value, jax_dtype(dtype))


@op("zeros.default", "empty.memory_format")
def zeros(size, *, dtype=None, **_):
    """An array of zeros (what torch leaves uninitialised is written before it is read)."""
    return jnp.zeros(tuple(size), jax_dtype(dtype))


@op("ones.default")
def ones(size, *, dtype=None, **_):
    """An array of ones."""
    return jnp.ones(tuple(size), jax_dtype(dtype))


@op("full_like.default")
def full_like(x, fill_value, *, dtype=None, **_):
    """One value in the shape of another array."""
    return jnp.full_like(x, fill_value, dtype=jax_dtype(dtype))


@op("zeros_like.default", "empty_like.default", "zero.default")
def zeros_like(x, *, dtype=None, **_):
    """Zeros in the shape of another array."""
    return jnp.zeros_like(x, dtype=jax_dtype(dtype))


@op("ones_like.default")
def ones_like(x, *, dtype=None, **_):
    """Ones in the shape of another array."""
    return jnp.ones_like(x, dtype=jax_dtype(dtype))


@op("new_full.default")
def new_full(x, size, fill_value, *, dtype=None, **_):
    """One value, with the dtype of another array."""
    return jnp.full(tuple(size), fill_value, jax_dtype(dtype) or x.dtype)


@op("new_zeros.default", "new_empty.default")
def new_zeros(x, size, *, dtype=None, **_):
    """Zeros, with the dtype of another array."""
    return jnp.zeros(tuple(size), jax_dtype(dtype) or x.dtype)


@op("new_ones.default")
def new_ones(x, size, *, dtype=None, **_):
    """Ones, with the dtype of another array."""
    return jnp.ones(tuple(size), jax_dtype(dtype) or x.dtype)


@op("scalar_tensor.default")
def scalar_tensor(value, *, dtype=None, **_):
    """A number as an array."""
    return jnp.asarray(value, jax_dtype(dtype))


@op("arange.default")
def arange(end, *, dtype=None, **_):
    """0, 1, ... below `end`."""
    return jnp.arange(end, dtype=jax_dtype(dtype))


@op("arange.start", "arange.start_step")
def arange_from(start, end, step=1, *, dtype=None, **_):
    """Start, start + step, ... below `end`."""
    return jnp.arange(start, end, step, dtype=jax_dtype(dtype))


@op("linspace.default")
def linspace(start, end, steps, *, dtype=None, **_):
    """`steps` evenly spaced values, both ends included."""
    return jnp.linspace(start, end, steps, dtype=jax_dtype(dtype))


@op("copy.default")
def copy(x, src, non_blocking=False):
    """The values of `src` in the shape and dtype of x."""
    return jnp.broadcast_to(src, x.shape).astype(x.dtype)


@op("fill.Scalar", "fill.Tensor")
def fill(x, value):
    """One value in the shape of x."""
    return jnp.full_like(x, value)
