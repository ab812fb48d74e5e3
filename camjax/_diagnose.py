"""Why an explanation's status is not clean; runs only when it is not, so that a good call costs nothing."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from camjax._example import class_scores
from camjax._explanation import Explanation, Status
from camjax._split import Split
from camjax._target import Target
from camjax.methods._contract import describe

if TYPE_CHECKING:
    from camjax.saliency import Attribution


def check(
    explanation: Explanation | Attribution,
    method: Any,
    splits: tuple[Split, ...],
    params: Any,
    x: Any,
    better_layer: Callable[[], str | None],
    target: Target | None = None,
) -> None:
    """Raises ValueError, in words, for what strict explanations do not tolerate; warns of probabilities.

    Args:
        explanation: the result, with or without its K axis. Nothing is looked at while it is being traced, or
            where its arrays are spread over several hosts: then its `status` says all.
        method: the method, which knows why it does not apply where it says so.
        splits: what was explained, the model cut at each layer.
        params: the model's parameters, searched for NaN only after a result was not finite.
        x: the input, likewise.
        better_layer: gives the name of a layer worth trying instead, called only for a message.
        target: the target, which knows what is wrong where it is about no class.
    """
    if isinstance(explanation.status, Tracer) or not explanation.status.is_fully_addressable:
        return
    status = np.asarray(explanation.status)
    if not (status & ~int(Status.EMPTY)).any():
        return
    split = splits[0]
    if (where := _where(status, Status.BAD_TARGET)).size:
        if target is not None and target.complaint:
            raise ValueError(f"{target.complaint} ({examples(where)}).")
        got = sorted({int(c) for c in np.asarray(explanation.target)[tuple(where.T)]})
        n = class_scores(split, params, x).shape[0]
        raise ValueError(
            f"target: got class {', '.join(map(str, got))} for {examples(where)}, but the model has {n} classes; "
            f"expected indices from 0 to {n - 1}."
        )
    if (where := _where(status, Status.NON_FINITE)).size:
        raise ValueError(_not_finite(where, splits, params, x))
    if (where := _where(status, Status.ZERO_GRADIENT)).size:
        better = better_layer()
        remedy = f"try layer={better!r}" if better else "name another layer (camjax.layers lists them)"
        raise ValueError(
            f"{_layer(splits)}: the score does not depend on it (every gradient is exactly zero) "
            f"for {examples(where)}; {remedy}, or pass strict=False to get a zero map and a status flag."
        )
    if (where := _where(status, Status.NOT_APPLICABLE)).size:
        refusal = getattr(method, "refusal", "it does not apply to this model at this layer.")
        raise ValueError(f"method: {describe(method)} at {_layer(splits)}, {examples(where)}: {refusal}")
    if (status & int(Status.PROBABILITIES)).all():
        warnings.warn(
            "the class scores of every example sum to one: probabilities were explained, whose gradients vanish "
            "where the model is sure, and no softmax was found to take the logits before it. Cut the model before "
            "its softmax, or pass scores='outputs' if this is meant.",
            UserWarning,
            stacklevel=3,
        )


def _not_finite(where: np.ndarray, splits: tuple[Split, ...], params: Any, x: Any) -> str:
    for name, found in (("NaN", jnp.isnan), ("infinite values", jnp.isinf)):
        for path, leaf in jax.tree_util.tree_leaves_with_path(x):
            if jnp.issubdtype(leaf.dtype, jnp.inexact):
                bad = np.flatnonzero(np.asarray(found(leaf)).reshape(leaf.shape[0], -1).any(1))
                if bad.size:
                    return (
                        f"x{jax.tree_util.keystr(path)}: {name} in {examples(bad[:, None])}; expected finite "
                        "numbers. Replace or drop them, or pass strict=False to get status flags instead."
                    )
    bad_weights = [
        jax.tree_util.keystr(path) for path, leaf in jax.tree_util.tree_leaves_with_path(params) if not _finite(leaf)
    ]
    if bad_weights:
        return (
            f"model: NaN or infinite values in the parameters {', '.join(bad_weights[:5])}"
            f"{' and more' if len(bad_weights) > 5 else ''}; expected finite weights. Was the checkpoint loaded "
            "completely?"
        )
    if not all(map(_finite, jax.tree.leaves([split.bound(params) for split in splits]))):
        return "model: NaN or infinite values in an array that apply captured; expected finite weights."
    return (
        f"{_layer(splits)}: the score or the map is not finite for {examples(where)}, though the "
        "input and the weights are: the model overflows or divides by zero. Try the model in float32, or pass "
        "strict=False to get status flags instead."
    )


def _layer(splits: tuple[Split, ...]) -> str:
    names = ", ".join(split.name or "of the Split" for split in splits)
    return f"layer{'s' if len(splits) > 1 else ''} {names}"


def _finite(leaf: Any) -> bool:
    return not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact) or bool(jnp.isfinite(leaf).all())


def _where(status: np.ndarray, flag: Status) -> np.ndarray:
    return np.argwhere(status & int(flag))


def examples(where: np.ndarray) -> str:
    """The numbers of the examples in the first column, in words."""
    numbers = sorted({int(n) for n in where[:, 0]})
    text = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
    return f"example{'s' if len(numbers) > 1 else ''} {text}"
