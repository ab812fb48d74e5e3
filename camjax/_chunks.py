"""Many examples, a few at a time: of one compiled size, and where they are until their turn comes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Int


def check_batch(batch: Any) -> None:
    """That a number of examples is one."""
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch: got {batch!r}, expected a positive int, how many pictures run at once.")


def shapes(x: Any) -> Any:
    """The shapes of arrays, which stay on the host or on the disk; what is no array is left to be refused.

    >>> shapes({"a": np.zeros((2, 3))})["a"].dtype
    dtype('float32')
    """

    def shape(leaf: Any) -> Any:
        if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            return leaf
        return jax.ShapeDtypeStruct(leaf.shape, jax.dtypes.canonicalize_dtype(leaf.dtype))

    return jax.tree.map(shape, x)


def chunks(count: int, batch: int) -> Iterator[tuple[Int[np.ndarray, " b"], Bool[np.ndarray, " b"]]]:
    """Row numbers, `batch` at a time, and which of them count: the last chunk is filled up with its last row.

    >>> [(rows.tolist(), valid.tolist()) for rows, valid in chunks(3, 2)]
    [([0, 1], [True, True]), ([2, 2], [True, False])]
    """
    for first in range(0, count, batch):
        rows = np.arange(first, first + batch)
        yield np.minimum(rows, count - 1), rows < count


def take(x: Any, rows: Int[np.ndarray, " b"]) -> Any:
    """These examples of a pytree of arrays."""
    return jax.tree.map(lambda leaf: leaf[rows], x)
