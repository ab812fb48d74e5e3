"""Models traced for one example, and the traces that are kept."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from camjax._model import Model
from camjax.trace._traced import Traced


def traced(model: Model, x: Any) -> Traced:
    """Traces `model` for one example of the batch `x`, of which only structure, shapes and dtypes matter.

    Traces are kept for as long as they are among the last 64, per function, structure and precision.

    Raises:
        ValueError: when the function cannot be traced for a batch of one, or takes its size for a constant.
    """
    params, params_tree = jax.tree.flatten(model.params)
    leaves, x_tree = jax.tree.flatten(x)
    shapes, dtypes = specs_of(leaves)
    # Without the batch axis: one trace serves every batch size.
    specs = *specs_of(params), tuple([shape[1:] for shape in shapes]), dtypes
    config: Any = jax.config  # its attributes are made at run time
    modes = config.jax_enable_x64, config.jax_default_matmul_precision
    key = (model.apply, params_tree, x_tree, specs, modes, model.rewrite)
    try:
        found = _TRACES.get(key)
    except TypeError:  # apply cannot be hashed
        return _trace(model, x)
    if found is None:
        found = _trace(model, x)
        if any(isinstance(array, Tracer) for array in found.captured):
            return found  # belongs to a transformation that is under way, and must not outlive it
        _TRACES[key] = found
        while len(_TRACES) > 64:
            del _TRACES[next(iter(_TRACES))]
    elif next(reversed(_TRACES.values())) is not found:
        _TRACES.pop(key, None)
        _TRACES[key] = found
    return found


_TRACES: dict[Hashable, Traced] = {}  # the one used last is the last


def _trace(model: Model, x: Any) -> Traced:
    params = jax.tree.map(_struct, model.params)

    def example(batch: int) -> Any:
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct((batch, *np.shape(a)[1:]), _struct(a).dtype), x)

    def failed(batch: int, error: Exception) -> ValueError:
        leaves = jax.tree_util.tree_leaves_with_path(example(batch))
        shapes = ", ".join(f"{_name(p)} {a.shape}" for p, a in leaves)
        return ValueError(
            f"model: apply(params, x) cannot be traced for a batch of {batch}, with {shapes}: "
            f"{type(error).__name__}: {error}. x must have the batch axis first and the shapes that the "
            "model expects, and apply must take any batch size (no literal batch size in a reshape)."
        )

    # Whatever the model's own code raises is its author's; say where it happened, and keep it as the cause.
    try:
        closed, one = jax.make_jaxpr(model.apply, return_shape=True)(params, example(1))
    except Exception as error:
        raise failed(1, error) from error
    try:
        two = jax.eval_shape(model.apply, params, example(2))
    except Exception as error:
        raise failed(2, error) from error
    batched = []
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(two), strict=True):
        if a.shape != b.shape and (a.shape[:1], b.shape[:1], a.shape[1:]) != ((1,), (2,), b.shape[1:]):
            raise ValueError(
                f"model: output {_name(path, 'outputs')} has shape {a.shape} for a batch of 1 and {b.shape} "
                "for a batch of 2, so its batch axis is not the first one, or apply has a literal batch size "
                "in a reshape; use x.shape[0] there."
            )
        batched.append(a.shape != b.shape)
    if not any(batched):
        shapes = ", ".join(str(a.shape) for a in jax.tree.leaves(one))
        raise ValueError(
            f"model: no output has a batch axis: the shapes are {shapes} for a batch of 1 and for a batch of 2. "
            "apply must return outputs with the batch axis first, as many examples as x has."
        )
    paths = [_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(x)]
    like = Model(model.apply, params, rewrite=model.rewrite)  # shapes only: a trace keeps no weights alive
    return Traced(
        closed,
        len(jax.tree.leaves(params)),
        jax.tree.structure(one),
        batched,
        paths,
        lambda other: traced(like, other),
        model.rewrite,
    )


def specs_of(leaves: Sequence[Any]) -> tuple[tuple[tuple[int, ...], ...], tuple[Any, ...]]:
    """The leaves' shapes, and their dtypes; asked in every call, for hundreds of parameters."""
    try:  # through `aval`, which an array's own properties each look up again
        avals = [getattr(leaf, "aval", leaf) for leaf in leaves]
        return tuple([a.shape for a in avals]), tuple([a.dtype for a in avals])
    except AttributeError:  # a Python number among them
        dtypes = [leaf.dtype if hasattr(leaf, "dtype") else np.result_type(leaf) for leaf in leaves]
        return tuple(map(np.shape, leaves)), tuple(dtypes)


def _struct(a: Any) -> jax.ShapeDtypeStruct:
    dtype = a.dtype if hasattr(a, "dtype") else np.result_type(a)
    if not jnp.issubdtype(dtype, jax.dtypes.extended):  # keys of random generators are what they are
        dtype = jax.dtypes.canonicalize_dtype(dtype)
    return jax.ShapeDtypeStruct(np.shape(a), dtype)


def _name(path: Any, root: str = "x") -> str:
    return root + jax.tree_util.keystr(path)
