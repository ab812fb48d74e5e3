"""The first principal component, with a derivative that stays finite where two components are equally strong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from camjax._eigh import eigh

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@jax.custom_jvp
def top(matrix: Float[Array, "n n"]) -> tuple[Float[Array, ""], Float[Array, " n"]]:
    """The largest eigenvalue of a symmetric matrix and its eigenvector, of length one and either sign.

    Where the largest eigenvalue is not the only one of its size, the eigenvector is one of many; its derivative then
    leaves out the directions that cannot be told from it, in the place of dividing by zero.

    >>> value, vector = top(jnp.diag(jnp.array([1.0, 3.0])))
    >>> float(value), jnp.abs(vector)
    (3.0, Array([0., 1.], dtype=float32))
    """
    values, vectors = eigh(matrix)
    return values[-1], vectors[:, -1]


@top.defjvp
def _top_jvp(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    (matrix,), (change,) = primals, tangents
    values, vectors = eigh(matrix)
    value, vector = values[-1], vectors[:, -1]
    moved = jnp.matmul(vectors.T, jnp.matmul(change, vector, precision="highest"), precision="highest")
    gap = value - values
    clear = gap > 64 * jnp.finfo(values.dtype).eps * jnp.maximum(jnp.abs(value), jnp.finfo(values.dtype).tiny)
    turn = jnp.where(clear, moved / jnp.where(clear, gap, 1), 0)
    return (value, vector), (moved[-1], jnp.matmul(vectors, turn, precision="highest"))


def first_component(rows: Float[Array, "Z C"]) -> Float[Array, " Z"]:
    """X v1 = sqrt(l1) u1, of either sign, through the smaller of the matrices X X' and X' X; zero where X is zero."""
    positions, channels = rows.shape
    # So that squares neither overflow nor vanish; for any fixed scale the result, and its derivative, is the same.
    scale = jax.lax.stop_gradient(jnp.abs(rows).max())
    rows = rows / jnp.where(scale > 0, scale, 1)
    if channels <= positions:
        _, vector = top(jnp.matmul(rows.T, rows, precision="highest"))
        return scale * jnp.matmul(rows, vector, precision="highest")
    value, vector = top(jnp.matmul(rows, rows.T, precision="highest"))
    positive = value > 0
    return scale * jnp.where(positive, jnp.sqrt(jnp.where(positive, value, 1)), 0) * vector


def towards(component: Float[Array, " Z"], reference: Float[Array, " Z"]) -> Float[Array, " Z"]:
    """The component with the sign of its product with a reference."""
    return jnp.where(jnp.vdot(component, reference) < 0, -component, component)
