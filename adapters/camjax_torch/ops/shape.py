"""The shape of an array: its axes split, merged, permuted, repeated and padded."""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from camjax_torch.ops._table import op


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
