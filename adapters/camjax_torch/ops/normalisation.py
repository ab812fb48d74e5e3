"""Normalisation in evaluation: batch normalisation has its statistics, the others take the input's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import lax

from camjax_torch.ops._table import op

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@op("_native_batch_norm_legit_no_training.default")
def batch_norm_no_training(x, weight, bias, mean, var, momentum, eps):
    """`batch_norm`, with places for the saved statistics that only a backward pass reads."""
    return _batch_norm(x, weight, bias, mean, var, eps), None, None


@op("batch_norm.default")
def batch_norm(x, weight, bias, mean, var, training, momentum, eps, cudnn_enabled=False):
    """(x - mean) / sqrt(var + eps) * weight + bias, per channel."""
    if training or mean is None:
        return batch_norm_of_one(x, weight, bias, True, momentum, eps)[0]
    return _batch_norm(x, weight, bias, mean, var, eps)


@op("_native_batch_norm_legit.no_stats")
def batch_norm_of_one(x, weight, bias, training, momentum, eps):
    """`batch_norm` by the input's own statistics, as kernels are standardised; of one example, for others would mix."""
    if x.shape[0] != 1:
        raise NotImplementedError(
            "from_torch: a batch normalisation without running statistics (track_running_stats=False) takes "
            "those of the batch, so the map of one picture would depend on the others; give it running "
            "statistics."
        )
    y = _standardise(x, (0, *range(2, x.ndim)), eps)[0]
    return _affine(y, _per_channel(weight, x.ndim), _per_channel(bias, x.ndim)), None, None


def _batch_norm(
    x: Float[Array, "b c *space"],
    weight: Float[Array, " c"] | None,
    bias: Float[Array, " c"] | None,
    mean: Float[Array, " c"],
    var: Float[Array, " c"],
    eps: float,
) -> Float[Array, "b c *space"]:
    # one multiplication and one addition per element: the rest is per channel
    scale = lax.rsqrt(var + eps) if weight is None else weight * lax.rsqrt(var + eps)
    shift = -mean * scale if bias is None else bias - mean * scale
    channel = (-1,) + (1,) * (x.ndim - 2)
    return (x * scale.reshape(channel) + shift.reshape(channel)).astype(x.dtype)


def _standardise(x, axes, eps):
    """x minus its mean over `axes`, divided by its standard deviation; also the mean and 1 / deviation."""
    mean = x.mean(axes, keepdims=True)
    centred = x - mean
    inverse = lax.rsqrt((centred * centred).mean(axes, keepdims=True) + eps)
    return centred * inverse, mean, inverse


def _affine(x, weight, bias):
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


@op("native_layer_norm.default")
def native_layer_norm(x, normalized_shape, weight, bias, eps):
    """Layer normalisation, its mean and 1 / deviation."""
    y, mean, inverse = _standardise(x, tuple(range(-len(normalized_shape), 0)), eps)
    return _affine(y, weight, bias), mean, inverse


@op("layer_norm.default")
def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True):
    """Layer normalisation over the trailing axes."""
    return native_layer_norm(x, normalized_shape, weight, bias, eps)[0]


@op("rms_norm.default")
def rms_norm(x, normalized_shape, weight=None, eps=None):
    """x / root mean square over the trailing axes (`eps` None: the smallest step of the dtype)."""
    axes = tuple(range(-len(normalized_shape), 0))
    eps = jnp.finfo(x.dtype).eps if eps is None else eps
    return _affine(x * lax.rsqrt((x * x).mean(axes, keepdims=True) + eps), weight, None)


def _per_channel(weight, ndim):
    return None if weight is None else weight.reshape(-1, *(1,) * (ndim - 2))


@op("group_norm.default")
def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True):
    """Normalisation of groups of channels over the channels of the group and all positions."""
    grouped = x.reshape(x.shape[0], num_groups, -1)
    y = _standardise(grouped, (2,), eps)[0].reshape(x.shape)
    return _affine(y, _per_channel(weight, x.ndim), _per_channel(bias, x.ndim))


@op("native_group_norm.default")
def native_group_norm(x, weight, bias, n, c, hw, group, eps):
    """`group_norm`, with places for the statistics."""
    return group_norm(x, group, weight, bias, eps), None, None


@op("instance_norm.default")
def instance_norm(x, weight, bias, mean, var, use_input_stats, momentum, eps, cudnn_enabled=False):
    """Normalisation of each channel of each picture over its positions, or with running statistics."""
    if not use_input_stats:
        return _batch_norm(x, weight, bias, mean, var, eps)
    y = _standardise(x, tuple(range(2, x.ndim)), eps)[0]
    return _affine(y, _per_channel(weight, x.ndim), _per_channel(bias, x.ndim))
