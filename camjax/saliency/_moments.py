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

    >>> moments(lambda i: {"a": jnp.square(i * 1.0)}, points=5, together=3, spread=True)
    ({'a': Array(6., dtype=float32)}, {'a': Array(34.8, dtype=float32)})
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

    if points <= together:
        mean, squares = block(jnp.arange(points))
    else:
        even = max(n for n in range(1, together + 1) if points % n == 0)
        together = even if 2 * even >= together else together  # blocks of one size compile once
        whole = points // together * together
        zeros = jax.tree.map(
            lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(block, jnp.arange(together))
        )
        rows = jnp.arange(whole).reshape(-1, together)
        state, _ = jax.lax.scan(lambda s, row: (joined(s, block(row), together), None), (jnp.int32(0), *zeros), rows)
        if points > whole:
            state = joined(state, block(jnp.arange(whole, points)), points - whole)
        _, mean, squares = state
    return mean, jax.tree.map(lambda s: s / points, squares) if spread else None
