"""Mean and variance of a function over many points, `together` of them at once: memory does not grow with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def moments(function: Callable[[Any], Any], points: int, together: int, spread: bool) -> tuple[Any, Any]:
    """The mean of `function(i)` over i = 0..points-1, and with `spread` the variance (else None), leaf by leaf.

    Blocks are joined by their means and sums of squared deviations (Chan, Golub, LeVeque, 1979), which does not
    cancel as a difference of sums would.

    >>> moments(lambda i: {"a": jnp.square(i * 1.0)}, points=4, together=3, spread=True)
    ({'a': Array(3.5, dtype=float32)}, {'a': Array(12.25, dtype=float32)})
    """
    if points == 1:
        value = function(jnp.int32(0))
        return value, jax.tree.map(jnp.zeros_like, value) if spread else None

    def block(i: Any) -> tuple[Any, Any]:
        values = jax.vmap(function)(i)
        mean = jax.tree.map(lambda v: v.mean(0), values)
        if not spread:
            return mean, None
        return mean, jax.tree.map(lambda v, m: jnp.square(v - m[None]).sum(0), values, mean)

    def joined(state: tuple[Any, Any, Any], new: tuple[Any, Any], n: int) -> tuple[Any, Any, Any]:
        count, mean, squares = state

        def share(leaf: Any) -> Any:
            return jnp.asarray(n, leaf.dtype) / (count + n).astype(leaf.dtype)

        step = jax.tree.map(jnp.subtract, new[0], mean)
        if spread:
            between = jax.tree.map(lambda d: jnp.square(d) * share(d) * count.astype(d.dtype), step)
            squares = jax.tree.map(lambda *parts: sum(parts), squares, new[1], between)
        return count + n, jax.tree.map(lambda m, d: m + d * share(d), mean, step), squares

    together = min(together, points)
    whole = points // together
    i = jnp.arange(points)
    state = (jnp.int32(together), *block(i[:together]))
    if whole > 1:
        rows = i[together : whole * together].reshape(whole - 1, together)
        state, _ = jax.lax.scan(lambda s, row: (joined(s, block(row), together), None), state, rows)
    if points > whole * together:
        state = joined(state, block(i[whole * together :]), points - whole * together)
    _, mean, squares = state
    return mean, jax.tree.map(lambda s: s / points, squares) if spread else None
