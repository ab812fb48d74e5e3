"""The words at the public edge: what is wrong with an argument, what was expected, and the remedy.

What shapes and types tell is checked before anything runs. What only values tell costs the good path
nothing: the compiled program sets a status bit, and `_diagnose.py` looks for its reason.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax.methods._contract import describe, needs_of

if TYPE_CHECKING:
    from jaxtyping import Array, Int


_INT32 = np.iinfo(np.int32)


def check_input(x: Any, shapes: bool = False) -> tuple[Any, int]:
    """The input with every leaf a jax array (with `shapes` also `jax.ShapeDtypeStruct`), and its batch size.

    Raises:
        ValueError: for leaves that are not arrays, have no batch axis or disagree on it, and for an empty batch.
    """
    leaves = jax.tree_util.tree_leaves_with_path(x)
    if not leaves:
        raise ValueError(
            "x: the input has no arrays; expected an array, or a pytree of arrays, with the batch axis first."
        )
    for path, leaf in leaves:
        abstract = isinstance(leaf, jax.ShapeDtypeStruct) and not shapes
        if abstract or not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            raise ValueError(
                f"x{jax.tree_util.keystr(path)}: expected an array with the batch axis first, got "
                f"{type(leaf).__name__}; convert it with jnp.asarray."
            )
        if not leaf.shape:
            raise ValueError(
                f"x{jax.tree_util.keystr(path)}: expected the batch axis first, got a scalar; use x[None]."
            )
    batch = leaves[0][1].shape[0]
    if any(leaf.shape[0] != batch for _, leaf in leaves):
        sizes = {jax.tree_util.keystr(path) or "x": leaf.shape[0] for path, leaf in leaves}
        raise ValueError(f"x: all leaves must have the same batch size, got {sizes}.")
    if isinstance(batch, int) and batch == 0:
        raise ValueError("x: the batch is empty (its first axis has length 0); expected at least one example.")
    known = (jax.Array, jax.ShapeDtypeStruct)
    return jax.tree.map(lambda leaf: leaf if isinstance(leaf, known) else jnp.asarray(leaf), x), batch


def class_of(name: str, labels: tuple[str, ...] | None, argument: str = "target") -> int:
    """The index of a class name."""
    if labels is None:
        raise ValueError(
            f"{argument}: got the class name {name!r}, but the model has no labels; give the class's index, or make "
            "the model with labels: camjax.Model(apply, params, labels=(...))."
        )
    exact = [i for i, label in enumerate(labels) if label == name]
    found = exact or [i for i, label in enumerate(labels) if label.casefold() == name.casefold()]
    if len(found) > 1:
        raise ValueError(f"{argument}: {name!r} is the name of classes {found}; give the index of the one you mean.")
    if not found:
        close = difflib.get_close_matches(name, labels, 3, 0.5) or list(labels[:3])
        raise ValueError(
            f"{argument}: no class is called {name!r}; did you mean {' or '.join(map(repr, close))}? "
            f"The model has {len(labels)} labels."
        )
    return found[0]


def class_indices(spec: Any, batch: int) -> Int[Array, "..."] | np.ndarray:
    """Class indices, checked by type and shape: a scalar, `[B]`, `[B, K]` or `[1, K]`."""
    expected = (
        f"None, a class index, a class name, [{batch}] indices (one per example), [{batch}, K] or [1, K] indices, a "
        "camjax.targets object, or a function of one example's outputs"
    )
    try:
        index = spec if isinstance(spec, jax.Array) else np.asarray(spec)
    except ValueError as error:  # lists of different lengths
        raise ValueError(f"target: got {spec!r}, which is not an array; expected {expected}.") from error
    if not jnp.issubdtype(index.dtype, jnp.integer):
        raise ValueError(f"target: class indices must be integers, got {index.dtype} ({spec!r}); expected {expected}.")
    wrong = index.ndim > 2 or (index.ndim == 1 and index.shape[0] != batch)
    if wrong or (index.ndim == 2 and index.shape[0] not in (1, batch)) or 0 in index.shape:
        raise ValueError(
            f"target: got shape {index.shape} for a batch of {batch}; expected {expected}. For several targets of "
            "every example use [1, K]: target[None]."
        )
    if isinstance(index, np.ndarray):
        if index.min() < _INT32.min or index.max() > _INT32.max:
            raise ValueError(f"target: {spec!r} is out of the range of class indices.")
        return index.astype(np.int32)
    return index


def check_method(method: Any) -> None:
    """That a method is an instance, can key a compiled program, and needs what can be given."""
    if isinstance(method, type) or not callable(method):
        remedy = f"{method.__name__}()" if isinstance(method, type) else "camjax.GradCAM()"
        got = f"the class {method.__name__}" if isinstance(method, type) else repr(method)
        raise ValueError(f"method: expected an instance such as {remedy}, or a function, got {got}.")
    try:
        hash(method)
    except TypeError as error:
        raise ValueError(
            f"method: {describe(method)} is not hashable, so it cannot key a compiled program; make it a frozen "
            "dataclass with hashable fields (tuples, not lists or arrays)."
        ) from error
    needs_of(method)


def check_key(method: Any, key: Any, smoothing: Any = None) -> None:
    """That what draws random numbers has a key."""
    draws = describe(method) if "key" in needs_of(method) else ""
    draws = "smoothing with noise" if smoothing is not None and smoothing.noise else draws
    if draws and key is None:
        raise ValueError(f"key: {draws} draws random numbers; pass key=jax.random.key(0).")


def check_choice(name: str, got: Any, known: Sequence[Any]) -> None:
    """That an option is one of those known."""
    if not any(got is k or (type(got) is type(k) and got == k) for k in known):
        raise ValueError(f"{name}: got {got!r}, expected one of {', '.join(map(repr, known))}.")


def check_ids(ids: Any, batch: int) -> Any:
    """The examples' ids as an array, one integer for each; None stays None."""
    if ids is None:
        return None
    array = ids if isinstance(ids, jax.Array) else np.asarray(ids)
    if array.shape != (batch,) or not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(
            f"ids: got {array.dtype}{list(array.shape)}, expected one integer per example: shape ({batch},)."
        )
    return array
