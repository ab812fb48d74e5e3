"""Linear algebra and attention. Weights of linear layers arrive in Flax layout, [in, out]."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from camjax_torch.ops._table import op

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@op("linear.default")
def linear(
    x: Float[Array, "*b i"], kernel: Float[Array, "i o"], bias: Float[Array, " o"] | None = None
) -> Float[Array, "*b o"]:
    """x W + b."""
    y = x @ kernel
    return y if bias is None else y + bias


@op("addmm.default", "baddbmm.default")
def addmm(bias, a, b, *, beta=1, alpha=1):
    """Beta * bias + alpha * (a b)."""
    product = a @ b if alpha == 1 else alpha * (a @ b)
    return product + (bias if beta == 1 else beta * bias)


@op("mm.default", "bmm.default", "matmul.default")
def matmul(a, b):
    """The matrix product over the last two axes."""
    return a @ b


@op("einsum.default")
def einsum(equation, operands, *, path=None):
    """Einstein summation, in torch's own spelling (upper and lower case letters, an ellipsis)."""
    return jnp.einsum(equation, *operands)


@op("scaled_dot_product_attention.default")
def scaled_dot_product_attention(
    query: Float[Array, "*b q d"],
    key: Float[Array, "*b k d"],
    value: Float[Array, "*b k e"],
    attn_mask=None,
    dropout_p=0.0,
    is_causal=False,
    *,
    scale=None,
    enable_gqa=False,
) -> Float[Array, "*b q e"]:
    """softmax(Q K^T / sqrt(d) + mask) V, its probabilities a value of their own between two products."""
    if enable_gqa:
        key, value = (jnp.repeat(a, query.shape[-3] // a.shape[-3], axis=-3) for a in (key, value))
    scores = (query * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)) @ jnp.swapaxes(key, -1, -2)
    if is_causal:
        scores = jnp.where(jnp.tri(*scores.shape[-2:], dtype=bool), scores, -jnp.inf)
    if attn_mask is not None:
        masked = attn_mask.dtype == bool
        scores = jnp.where(attn_mask, scores, -jnp.inf) if masked else scores + attn_mask
    return jax.nn.softmax(scores, axis=-1) @ value


@op("linalg_vector_norm.default")
def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """The vector norm of order `ord` over the axes `dim`."""
    axes = tuple(range(x.ndim)) if dim is None else tuple(dim)
    if ord == 2:
        return jnp.sqrt(jnp.sum(x * x, axes, keepdims=keepdim))
    if ord in (math.inf, -math.inf):
        return (jnp.max if ord > 0 else jnp.min)(jnp.abs(x), axes, keepdims=keepdim)
    if ord == 0:
        return jnp.sum(x != 0, axes, keepdims=keepdim).astype(x.dtype)
    return jnp.sum(jnp.abs(x) ** ord, axes, keepdims=keepdim) ** (1 / ord)
