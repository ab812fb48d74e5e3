"""Parts of arrays: taking them, replacing them, joining them."""

from __future__ import annotations

import itertools

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


@op("im2col.default")
def im2col(x, kernel_size, dilation, padding, stride):
    """Windows of a picture [batch, channels * window, windows]; where they do not overlap, a mere reshape."""
    (kh, kw), (sh, sw) = kernel_size, stride
    batch, channels, *_ = x.shape
    x = jnp.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    rows, columns = (
        (n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(x.shape[2:], kernel_size, dilation, stride, strict=True)
    )
    if list(stride) == list(kernel_size) and set(dilation) == {1}:
        x = x[:, :, : rows * kh, : columns * kw].reshape(batch, channels, rows, kh, columns, kw)
        return x.transpose(0, 1, 3, 5, 2, 4).reshape(batch, channels * kh * kw, rows * columns)
    tops, lefts = (range(0, k * d, d) for k, d in zip(kernel_size, dilation, strict=True))
    shifted = [
        x[:, :, top : top + sh * (rows - 1) + 1 : sh, left : left + sw * (columns - 1) + 1 : sw]
        for top in tops
        for left in lefts
    ]
    return jnp.stack(shifted, 2).reshape(batch, channels * kh * kw, rows * columns)


@op("col2im.default")
def col2im(x, output_size, kernel_size, dilation, padding, stride):
    """Windows [batch, channels * window, windows] laid back onto the picture, and summed where they overlap."""
    whole = [n + 2 * p for n, p in zip(output_size, padding, strict=True)]
    counts = [(n - d * (k - 1) - 1) // s + 1 for n, k, d, s in zip(whole, kernel_size, dilation, stride, strict=True)]
    kh, kw = kernel_size
    x = x.reshape(x.shape[0], -1, kh, kw, *counts)
    picture = jnp.zeros((x.shape[0], x.shape[1], *whole), x.dtype)
    for i, j in itertools.product(range(kh), range(kw)):
        config = [(0, 0, 0), (0, 0, 0)]
        for at, d, s, count, n in zip((i, j), dilation, stride, counts, whole, strict=True):
            first = at * d
            config.append((first, n - first - s * (count - 1) - 1, s - 1))
        picture = picture + lax.pad(x[:, :, i, j], jnp.zeros((), x.dtype), config)
    (top, left), (height, width) = padding, output_size
    return picture[:, :, top : top + height, left : left + width]


@op("tril.default")
def tril(x, diagonal=0):
    """The lower triangle."""
    return jnp.tril(x, diagonal)


@op("triu.default")
def triu(x, diagonal=0):
    """The upper triangle."""
    return jnp.triu(x, diagonal)
