"""Eigenvectors of symmetric matrices, so that a program with several decompositions ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float


def eigh(matrix: Float[Array, "n n"]) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
    """The eigenvalues of a symmetric matrix, rising, and its eigenvectors as columns.

    Mapped over a batch, a CPU takes the matrices one after the other. jaxlib would divide a batch among the threads of
    a pool, and wait for them in one of these threads: as many decompositions at a time as there are threads, and they
    wait for each other for ever.

    >>> values, vectors = eigh(jnp.diag(jnp.array([3.0, 1.0])))
    >>> values, jnp.abs(vectors)
    (Array([1., 3.], dtype=float32), Array([[0., 1.],
           [1., 0.]], dtype=float32))
    """
    return jax.lax.platform_dependent(matrix, cpu=jax.custom_batching.sequential_vmap(_eigh), default=_eigh)


def _eigh(matrix: Any) -> tuple[Any, Any]:
    return tuple(jnp.linalg.eigh(matrix, symmetrize_input=False))
