"""What the methods that evaluate the model have in common: masks from channels, sums over samples, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float


def each(function: Callable[[Any], Any], count: int, chunk: int) -> Any:
    """`function(0) .. function(count - 1)`, stacked; at most `chunk` at a time, all times as many.

    So `function` is compiled once: the last one fills up what is left over.
    """
    times = -(-count // min(chunk, count))
    size = -(-count // times)
    found = jax.lax.map(function, jnp.minimum(jnp.arange(times * size), count - 1), batch_size=size)
    return found if times * size == count else jax.tree.map(lambda leaf: leaf[:count], found)


def mean_of(function: Callable[[Any], Any], count: int, chunk: int) -> Any:
    """The mean of `function(0) .. function(count - 1)`, with no more than `chunk` of them in memory."""
    chunk = min(chunk, count)

    def add(total: Any, first: Any) -> tuple[Any, None]:
        index = first + jnp.arange(chunk)
        found = jax.vmap(function)(jnp.minimum(index, count - 1))

        def valid(array: Array) -> Array:  # the last chunk may reach beyond the end
            inside = (index < count).astype(array.dtype).reshape(-1, *[1] * (array.ndim - 1))
            return (array * jnp.broadcast_to(inside, array.shape)).sum(0)

        return jax.tree.map(lambda t, array: t + valid(array), total, found), None

    zero = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(function, jnp.arange(1)[0]))
    total, _ = jax.lax.scan(add, zero, jnp.arange(0, count, chunk))
    return jax.tree.map(lambda leaf: leaf / count, total)


def constant(function: Callable[..., Any], axes: Any, *arguments: Any) -> bool:
    """Whether `function` gives the same along the axes it is mapped over, as its program tells; nothing is computed.

    >>> constant(jax.grad(lambda x: 2 * x), 0, jax.ShapeDtypeStruct((5,), "float32"))
    True
    """
    try:
        jax.eval_shape(jax.vmap(function, axes, out_axes=None), *arguments)
    except ValueError:  # vmap refuses to take one for all where they differ
        return False
    return True


def affine(function: Callable[[Any], Any], point: Any) -> bool:
    """Whether the gradient of a scalar function is the same at all points, as its program tells; nothing is computed.

    >>> affine(lambda x: 2 * x.sum() + 1, jnp.ones(3)), affine(lambda x: x.max(), jnp.ones(3))
    (True, False)
    """
    return constant(jax.grad(function), 0, jax.ShapeDtypeStruct((2, *point.shape), point.dtype))


def min_max(values: Float[Array, "..."]) -> tuple[Float[Array, "..."], Bool[Array, ""]]:
    """s(): a map shifted and scaled to 0..1, and whether it varies at all; zero where it does not."""
    low, high = values.min(), values.max()
    varies = high - low > 8 * jnp.finfo(values.dtype).eps * jnp.maximum(jnp.abs(high), jnp.abs(low))
    return jnp.where(varies, (values - low) / jnp.where(varies, high - low, 1), 0), varies


def softmax_of(scores: Float[Array, " C"], counted: Bool[Array, " C"]) -> Float[Array, " C"]:
    """The softmax over the channels that count; zero for all others, and where none does."""
    top = jnp.max(jnp.where(counted, scores, -jnp.inf), initial=jnp.finfo(scores.dtype).min)
    shares = jnp.where(counted, jnp.exp(jnp.where(counted, scores - top, 0)), 0)
    total = shares.sum()
    return shares / jnp.where(total > 0, total, 1)
