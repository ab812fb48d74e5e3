"""Parts of arrays: taking them, replacing them, joining them."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax

from camjax_torch.ops._table import op


@op("select.int")
def select(x, dim, index):
    """One place of an axis."""
    return lax.index_in_dim(x, index, dim, keepdims=False)


@op("slice.Tensor")
def slice_(x, dim=0, start=None, end=None, step=1):
    """A range of an axis; bounds outside are moved in, as in Python."""
    size = x.shape[dim]
    low, high, _ = slice(start, None if end is not None and end >= 2**62 else end).indices(size)
    return lax.slice_in_dim(x, low, max(low, high), step, dim)


@op("slice_scatter.default")
def slice_scatter(x, src, dim=0, start=None, end=None, step=1):
    """X with a range of an axis replaced."""
    dim = dim % x.ndim
    end = None if end is not None and end >= 2**62 else end
    return x.at[(slice(None),) * dim + (slice(start, end, step),)].set(src)


@op("select_scatter.default")
def select_scatter(x, src, dim, index):
    """X with one place of an axis replaced."""
    return x.at[(slice(None),) * (dim % x.ndim) + (index,)].set(src)


@op("narrow.default")
def narrow(x, dim, start, length):
    """`length` places of an axis."""
    return lax.slice_in_dim(x, start, start + length, axis=dim)


@op("chunk.default")
def chunk(x, chunks, dim=0):
    """At most `chunks` pieces of an axis, the last may be shorter."""
    return split(x, -(-x.shape[dim] // chunks), dim)


@op("split.Tensor", "unsafe_split.Tensor")
def split(x, split_size, dim=0):
    """Pieces of one size along an axis, the last may be shorter."""
    size = x.shape[dim]
    return [lax.slice_in_dim(x, i, min(i + split_size, size), axis=dim) for i in range(0, size, split_size)]


@op("split_with_sizes.default", "split.sizes")
def split_with_sizes(x, split_sizes, dim=0):
    """Pieces of given sizes along an axis."""
    ends = np.cumsum(split_sizes)
    return [lax.slice_in_dim(x, int(e - s), int(e), axis=dim) for s, e in zip(split_sizes, ends, strict=True)]


@op("unbind.int")
def unbind(x, dim=0):
    """Every place of an axis by itself."""
    return [lax.index_in_dim(x, i, dim, keepdims=False) for i in range(x.shape[dim])]


@op("cat.default", "concat.default", "concatenate.default")
def cat(tensors, dim=0):
    """Arrays joined along an axis; torch's empty vectors are left out."""
    return jnp.concatenate([x for x in tensors if x.shape != (0,)], dim)


@op("stack.default")
def stack(tensors, dim=0):
    """Arrays joined along a new axis."""
    return jnp.stack(tensors, dim)


@op("index.Tensor", "_unsafe_index.Tensor")
def index(x, indices):
    """Numpy's indexing by arrays; None takes an axis whole."""
    return x[tuple(slice(None) if i is None else i for i in indices)]


@op("index_select.default")
def index_select(x, dim, indices):
    """The named places of an axis."""
    return jnp.take(x, indices, axis=dim)


@op("gather.default")
def gather(x, dim, indices, *, sparse_grad=False):
    """One value per place along an axis."""
    return jnp.take_along_axis(x, indices, axis=dim)


@op("embedding.default")
def embedding(weight, indices, padding_idx=-1, scale_grad_by_freq=False, sparse=False):
    """Rows of a table."""
    return weight[indices]


@op("roll.default")
def roll(x, shifts, dims=()):
    """Axes rotated."""
    return jnp.roll(x, tuple(shifts), tuple(dims) or None)


@op("flip.default")
def flip(x, dims):
    """Axes reversed."""
    return jnp.flip(x, tuple(dims))


@op("unfold.default")
def unfold(x, dimension, size, step):
    """Windows of an axis, on a new last axis."""
    starts = range(0, x.shape[dimension] - size + 1, step)
    windows = [lax.slice_in_dim(x, s, s + size, axis=dimension) for s in starts]
    return jnp.moveaxis(jnp.stack(windows, dimension % x.ndim), dimension % x.ndim + 1, -1)


@op("tril.default")
def tril(x, diagonal=0):
    """The lower triangle."""
    return jnp.tril(x, diagonal)


@op("triu.default")
def triu(x, diagonal=0):
    """The upper triangle."""
    return jnp.triu(x, diagonal)
