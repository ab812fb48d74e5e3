"""What targets share that bring arrays of their own: their axes `[B or 1, K]`, and the outputs they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax._target import describe, key_of

if TYPE_CHECKING:
    from jaxtyping import Array


def leading(name: str, got: Any, batch: int, trailing: str, rank: int, kind: Any = jnp.number) -> tuple[Any, bool]:
    """An array with the axes `[B or 1, K, *trailing]` from one without K or without both, and whether K was there.

    Raises:
        ValueError: when it is no array of that kind and rank, or when its first axis is neither 1 nor the batch's.
    """
    array = got if isinstance(got, jax.Array) else np.asarray(got)
    expected = f"[{trailing}], [B, {trailing}] or [B, K, {trailing}] with B = {batch} or 1"
    if not (jnp.issubdtype(array.dtype, kind) or (kind is jnp.number and array.dtype == bool)):
        what = "integers" if kind is jnp.integer else "numbers"
        raise ValueError(f"{name}: got {array.dtype}, expected {what} of shape {expected}.")
    keep = array.ndim == rank + 2
    if array.ndim == rank:
        array = array[None]
    if array.ndim == rank + 1:
        array = array[:, None]
    if array.ndim != rank + 2 or array.shape[0] not in (1, batch) or 0 in array.shape:
        raise ValueError(
            f"{name}: got shape {jnp.shape(got)} for a batch of {batch}; expected {expected}. For several targets of "
            "every example give the K axis and a first axis of 1."
        )
    return array, keep


def same_count(name: str, *arrays: Any) -> tuple[Any, ...]:
    """The arrays with one K; those that have one target are repeated.

    Raises:
        ValueError: when they have different numbers of targets.
    """
    counts = sorted({array.shape[1] for array in arrays} - {1})
    if len(counts) > 1:
        raise ValueError(
            f"{name}: its arrays are about {' and '.join(map(str, counts))} targets per example; expected the same "
            "number K for all, or 1."
        )
    k = counts[0] if counts else 1
    return tuple(jnp.broadcast_to(array, (array.shape[0], k, *array.shape[2:])) for array in arrays)


def entry(name: str, outputs: Any, names: tuple[str, ...], rank: int, *, required: bool = True) -> Array | None:
    """The leaf of one example's outputs that has one of these names, else the only floating one of this rank.

    Raises:
        ValueError: when there is none or it is ambiguous, unless it is not required.
    """
    leaves = jax.tree_util.tree_leaves_with_path(outputs)
    named = [leaf for path, leaf in leaves if path and key_of(path[-1]) in names]
    fitting = [leaf for _, leaf in leaves if leaf.ndim == rank and jnp.issubdtype(leaf.dtype, jnp.floating)]
    found = named or (fitting if required else [])
    if len(found) == 1 and found[0].ndim == rank:
        return found[0]
    if not required and not found:
        return None
    raise ValueError(
        f"{name}: one example's outputs are {describe(outputs)}, expected one array with {rank} axes, or one that is "
        f"called {' or '.join(map(repr, names))}. Give the model such outputs (Model(lambda params, x: ...)), or pass "
        "a function of them as target."
    )
