"""Shapes, indexing, joining, making arrays: everything that computes no number from another."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax

from camjax_torch.ops._table import op
from camjax_torch.ops.dtypes import jax_dtype


@op("clone.default", "contiguous.default", "detach.default", "alias.default", "lift_fresh_copy.default",
    identity=True)  # fmt: skip
def identity(x, *, memory_format=None):
    """X itself: copies and memory formats mean nothing to a pure function."""
    return x


@op("dropout.default", "feature_dropout.default", "alpha_dropout.default", "feature_alpha_dropout.default",
    identity=True)  # fmt: skip
def dropout(x, p, train):
    """X itself: dropout is inactive in evaluation."""
    if train and p:
        raise NotImplementedError(
            "from_torch: the module drops values at random in evaluation too (functional dropout whose "
            "training= is not self.training); its outputs are no function of its input. Pass "
            "training=self.training."
        )
    return x


@op("sym_size.int")
def sym_size(x, dim):
    """The length of an axis, from the array that is there when the function is traced."""
    return x.shape[dim]


@op("sym_numel.default", "numel.default")
def numel(x):
    """The number of elements."""
    return x.size


@op("view.default", "reshape.default", "_unsafe_view.default")
def view(x, size):
    """The same elements in another shape."""
    return x.reshape(tuple(size))


@op("flatten.using_ints")
def flatten(x, start_dim=0, end_dim=-1):
    """Several axes as one."""
    start, end = start_dim % max(x.ndim, 1), end_dim % max(x.ndim, 1)
    return x.reshape(*x.shape[:start], -1, *x.shape[end + 1 :])


@op("unflatten.int")
def unflatten(x, dim, sizes):
    """One axis as several."""
    dim = dim % x.ndim
    return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])


@op("permute.default")
def permute(x, dims):
    """The axes in another order."""
    return x.transpose(tuple(d % x.ndim for d in dims))


@op("transpose.int", "swapaxes.default")
def transpose(x, dim0, dim1):
    """Two axes exchanged."""
    return jnp.swapaxes(x, dim0, dim1)


@op("t.default", "mT.default")
def t(x):
    """A matrix transposed; a vector is itself."""
    return jnp.swapaxes(x, -1, -2) if x.ndim > 1 else x


@op("movedim.int", "movedim.intlist")
def movedim(x, source, destination):
    """Axes moved to other places."""
    return jnp.moveaxis(x, source, destination)


@op("unsqueeze.default")
def unsqueeze(x, dim):
    """A new axis of length one."""
    return jnp.expand_dims(x, dim)


@op("squeeze.dim", "squeeze.dims")
def squeeze(x, dim):
    """Without those of the named axes that have length one, as in torch: an axis of another length stays."""
    dims = [d % x.ndim for d in ([dim] if isinstance(dim, int) else dim)]
    return lax.squeeze(x, [d for d in dims if x.shape[d] == 1])


@op("expand.default")
def expand(x, size, *, implicit=False):
    """Axes of length one repeated, -1 for an axis as it is."""
    new = len(size) - x.ndim
    shape = [x.shape[i - new] if isinstance(s, int) and s == -1 else s for i, s in enumerate(size)]
    return jnp.broadcast_to(x, shape)


@op("expand_as.default")
def expand_as(x, other):
    """X in the shape of another array."""
    return jnp.broadcast_to(x, other.shape)


@op("repeat.default")
def repeat(x, repeats):
    """X laid side by side."""
    return jnp.tile(x, tuple(repeats))


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


@op("constant_pad_nd.default")
def constant_pad_nd(x, pad, value=0.0):
    """A border of one value; the last axis comes first in `pad`, a negative width crops."""
    widths = [(pad[2 * i], pad[2 * i + 1], 0) for i in range(len(pad) // 2)][::-1]
    return lax.pad(x, jnp.asarray(value, x.dtype), [(0, 0, 0)] * (x.ndim - len(widths)) + widths)


@op("pad.default")
def pad(x, pad, mode="constant", value=None):
    """A border: one value, or the picture reflected, repeated or continued cyclically."""
    if mode == "constant":
        return constant_pad_nd(x, pad, 0.0 if value is None else value)
    widths = [(pad[2 * i], pad[2 * i + 1]) for i in range(len(pad) // 2)][::-1]
    modes = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return jnp.pad(x, [(0, 0)] * (x.ndim - len(widths)) + widths, mode=modes[mode])


@op("reflection_pad1d.default", "reflection_pad2d.default")
def reflection_pad(x, padding):
    """The picture reflected at its border."""
    return pad(x, padding, "reflect")


@op("replication_pad1d.default", "replication_pad2d.default")
def replication_pad(x, padding):
    """The border continued outward."""
    return pad(x, padding, "replicate")


@op("pixel_shuffle.default")
def pixel_shuffle(x, factor):
    """Channels moved into blocks of pixels."""
    b, c, h, w = x.shape
    blocks = x.reshape(b, c // factor**2, factor, factor, h, w).transpose(0, 1, 4, 2, 5, 3)
    return blocks.reshape(b, c // factor**2, h * factor, w * factor)


@op("channel_shuffle.default")
def channel_shuffle(x, groups):
    """Channels of the groups interleaved."""
    shape = x.shape
    return jnp.swapaxes(x.reshape(shape[0], groups, -1, *shape[2:]), 1, 2).reshape(shape)


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
    return x.astype(jax_dtype(dtype)) if isinstance(dtype, torch.dtype) else x


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
