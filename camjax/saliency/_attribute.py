"""`attribute`: from a model, an input and a target to attributions in input space."""

from __future__ import annotations

import warnings
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from camjax import _diagnose, _validate
from camjax._explanation import Status
from camjax._layers import _traced
from camjax._model import Model
from camjax._portions import entries, most
from camjax._split import Split
from camjax._target import Target, as_target, check_softmax
from camjax.saliency._batch import Options, attribute_batch, floating
from camjax.saliency._contract import Attribution, Saliency
from camjax.saliency._gradient import Gradient

_GRADIENT = Gradient()


def attribute(
    model: Model,
    x: Any,
    target: Any = None,
    *,
    method: Saliency = _GRADIENT,
    scores: str = "logits",
    strict: bool = True,
    chunk: int | None = None,
    ids: Any = None,
    key: Any = None,
) -> Attribution:
    """Attributions in input space: how every number of `x` bears on the score of `target`.

    Each example is attributed by itself: the result for a batch is the stack of the results for its examples. It can
    be called inside `jax.jit`, `jax.vmap` and, for methods without a rule, `jax.grad`.

    Args:
        model: a `Model`, from an adapter or made from a function; it is not changed.
        x: the model's input, an array or a pytree of arrays, with the batch axis first. Leaves that are not floating
            (tokens, masks) are kept as they are, and get None.
        target: what to explain, as for `camjax.explain`: None (the class predicted for each example), a class index, a
            class name, `[B]` indices, `[B, K]` or `[1, K]` indices or K names, an object of `camjax.targets`, or a
            function of one example's outputs. The targets of an example share its forward passes and its noise.
        method: `Gradient()`, `SmoothGrad()`, `VarGrad()`, `IntegratedGradients()`, `GuidedBackprop()`, `DeconvNet()` of
            `camjax.saliency`, or your own `camjax.saliency.Saliency`.
        scores: `"logits"` takes class scores before a final softmax or sigmoid, `"outputs"` as the model returns them.
        strict: whether what only values tell (a class out of range, NaN, a zero gradient) raises, and incompleteness
            warns. With False, and always under `jax.jit`, it is told by `Attribution.status` alone.
        chunk: how many gradients, over batch, points and targets, are computed at once; bounds memory. None: 32, on a
            CPU of pictures of 224x224 four for each core, or of as many entries.
        ids: `[B]` integers, the examples' own numbers, for methods that draw random numbers: an example's noise depends
            on `key` and its id alone. By default 0 to B-1.
        key: a `jax.random.key`, for those methods.

    Returns:
        An `Attribution`, without the axis K unless the target had one.

    Raises:
        ValueError: when an argument does not fit the model or the others; see `strict` for what depends on values.

    Example:
        >>> import camjax, jax.numpy as jnp
        >>> model = camjax.Model(lambda w, x: x @ w, jnp.array([[1.0, 2.0], [3.0, -4.0]]), labels=("this", "that"))
        >>> attribution = camjax.attribute(model, jnp.ones((1, 2)), ["this", "that"])
        >>> attribution.values.tolist(), attribution.score.tolist()
        ([[[1.0, 3.0], [2.0, -4.0]]], [[4.0, -2.0]])
    """
    x, batch = _validate.check_input(x)
    _check_floating(x)
    _check_method(method, key)
    _validate.check_choice("scores", scores, ("logits", "outputs"))
    if chunk is None:
        chunk = min(32, most(entries(), x) or 32)
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise ValueError(
            f"chunk: got {chunk!r}, expected a positive int, how many gradients are computed at once, or None."
        )
    ids = _validate.check_ids(ids, batch)
    whole = _traced(model, x).whole(scores, method.rule)
    bound, keep = as_target(target, model.labels, batch)
    check_softmax(bound, scores)
    options = Options(chunk, expect_logits=scores == "logits" and whole.tail is None, keep=keep)
    result = attribute_batch(whole, method, options, whole.bound(model.params), x, bound, ids, key)
    if strict:
        _check_result(result, method, whole, model.params, x, bound)
    return result


def _check_floating(x: Any) -> None:
    if not jax.tree.leaves(floating(x)):
        dtypes = ", ".join(sorted({str(leaf.dtype) for leaf in jax.tree.leaves(x)}))
        raise ValueError(
            f"x: every leaf is {dtypes}, which has no gradient; expected at least one floating leaf. Convert pictures "
            "with x.astype(jnp.float32); for tokens, make a Model that begins at their embeddings."
        )


def _check_method(method: Any, key: Any) -> None:
    if isinstance(method, type) or not isinstance(method, Saliency):
        got = f"the class {method.__name__}" if isinstance(method, type) else repr(method)
        raise ValueError(
            f"method: expected an instance of a camjax.saliency method such as camjax.saliency.Gradient(), got {got}; "
            "class-activation maps are made by camjax.explain."
        )
    if method.random and key is None:
        raise ValueError(f"key: {type(method).__name__} draws random numbers; pass key=jax.random.key(0).")


def _check_result(result: Attribution, method: Saliency, whole: Split, params: Any, x: Any, target: Target) -> None:
    # What is special about attributions; all else is the same as for maps.
    if isinstance(result.status, Tracer) or not result.status.is_fully_addressable:
        return
    status = np.asarray(result.status)
    own = int(Status.ZERO_GRADIENT | Status.INCOMPLETE)
    _diagnose.check(result._replace(status=result.status & ~own), method, (whole,), params, x, lambda: None, target)
    if (where := np.argwhere(status & int(Status.ZERO_GRADIENT))).size:
        raise ValueError(
            f"x: the score does not depend on it (every gradient is exactly zero) for {_diagnose.examples(where)}. Is "
            "the target cut off from the input, or is the model saturated there? Pass strict=False to get zeros and a "
            "status flag."
        )
    if (where := np.argwhere(status & int(Status.INCOMPLETE))).size:
        warnings.warn(
            f"{type(method).__name__}: for {_diagnose.examples(where)} {method.remedy}.", UserWarning, stacklevel=3
        )
