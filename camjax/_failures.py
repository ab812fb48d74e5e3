"""Failure analysis: where a model saw the class that it predicted wrongly, and where the one that is true."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from camjax import _validate
from camjax._chunks import check_batch, chunks, shapes, take
from camjax._example import class_scores, wide
from camjax._explain import explain
from camjax._explanation import Explanation
from camjax._layers import splits
from camjax._model import Model
from camjax._split import Split
from camjax._target import logits
from camjax.methods import GradCAM, Method
from camjax.targets import negated

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

_GRADCAM = GradCAM()
_FIXED = ("target", "scores")


class Failures(NamedTuple):
    """F wrongly classified examples; a pytree whose leaves all have the axis F first, so that rows can be chosen.

    Attributes:
        examples: `[F]`, their numbers among the examples, ascending.
        predicted: `[F]`, the class with the highest score.
        true: `[F]`, the class that they are labelled with.
        probability: `[F, 2]`, of the predicted and of the true class: the softmax over the classes, or the sigmoid of
            each where the model ends in one.
        explanation: an Explanation with the axes `[F, 2]`: of the predicted and of the true class.
        counterfactual: with `[F]`, of the predicted class's negated score: what speaks against it; or None.
    """

    examples: Int[np.ndarray, " F"]
    predicted: Int[np.ndarray, " F"]
    true: Int[np.ndarray, " F"]
    probability: Float[np.ndarray, "F 2"]
    explanation: Explanation
    counterfactual: Explanation | None = None


def failures(
    model: Model,
    x: Any,
    labels: Sequence[int] | Sequence[str] | Int[np.ndarray, " N"],
    *,
    counterfactual: bool = False,
    method: Method = _GRADCAM,
    ids: Any = None,
    batch: int = 32,
    **options: Any,
) -> Failures:
    """The examples that a model gets wrong, with the maps of the predicted and of the true class.

    Side by side they show whether the model looked elsewhere, or saw the right thing and took it for another
    (Grad-CAM paper, section 6.1, arXiv:1610.02391). With `counterfactual` also where the evidence against the
    predicted class lies, which would make it change its mind (its section 3.3: the map of -S).

    Cost: one forward pass for each example; one more for each failure, and two backward passes of the head; with
    `counterfactual` again one and one.

    Args:
        model: a `Model`.
        x: N examples as the model's input, an array or a pytree of arrays, also memory-mapped ones.
        labels: the true classes, N indices, or N names where the model has labels.
        counterfactual: whether to explain the negated score of the predicted class, too.
        method: as for `camjax.explain`.
        ids: `[N]`, as there; by default 0 to N-1.
        batch: how many examples run at once, always as many; it does not change the result.
        **options: the others of `camjax.explain`, but `target` and `scores`: `layer`, `size`, `key`, ...

    Returns:
        `Failures`; F is 0 where everything is right.

    Raises:
        ValueError: for labels that are not N classes of the model; for scores that are NaN; as `camjax.explain`.

    Example:
        >>> import camjax
        >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None, labels=("cat", "dog"))
        >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
        >>> x = jnp.zeros((3, 4, 4, 2)).at[0, 0, 0, 0].set(1.0).at[1:, 3, 3, 1].set(1.0)
        >>> found = failures(model, x, ["cat", "dog", "cat"], layer=split)
        >>> found.examples.tolist(), found.predicted.tolist(), found.explanation.heatmap.shape
        ([2], [1], (1, 2, 4, 4))
    """
    for name in _FIXED:
        if name in options:
            raise ValueError(f"{name}: camjax.failures decides it: the scores of the predicted and the true class.")
    check_batch(batch)
    like, count = _validate.check_input(shapes(x), shapes=True)
    layout = (options.get("layer"), method, options.get("axes"), "logits", options.get("fusion"))
    at = splits(model, like, *layout)[0][0]
    params = at.bound(model.params)
    true = _classes(labels, model.labels, count, class_scores(at, params, like).shape[0])
    ids = np.arange(count) if ids is None else np.asarray(_validate.check_ids(ids, count))
    batch = min(batch, count)
    scores = [np.asarray(_scores(at, params, take(x, rows)))[valid] for rows, valid in chunks(count, batch)]
    scores = np.concatenate(scores)
    if (nan := np.flatnonzero(np.isnan(scores).any(1))).size:
        raise ValueError(f"x: the class scores of example {nan[0]} are NaN; look for NaN in x and in the weights.")
    index = np.flatnonzero(scores.argmax(1) != true)
    predicted, true = scores.argmax(1)[index], true[index]
    pair = np.stack([predicted, true], 1)

    def explained(target: Any, any_target: Any) -> Explanation:
        # `target` has what is explained of each row; any other of its kind tells the shapes where there is no row.
        def of(rows: np.ndarray, valid: np.ndarray) -> Explanation:
            at = index[rows]
            try:
                all_of = explain(model, take(x, at), target(rows), method=method, ids=ids[at], **options)
            except ValueError as error:
                which = f"Those explained are examples {at.tolist()} of x, in this order."
                raise ValueError(f"{error} ({which})") from error
            return jax.tree.map(lambda leaf: leaf[valid], all_of)

        parts = [of(rows, valid) for rows, valid in chunks(len(index), batch)]
        if parts:
            return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
        one = jax.eval_shape(lambda x: explain(model, x, any_target, method=method, **options), like)
        return jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape[1:]), leaf.dtype), one)

    return Failures(
        index,
        predicted,
        true,
        _probability(scores[index], pair, at.tail),
        explained(lambda rows: pair[rows], np.zeros((1, 2), int)),
        explained(lambda rows: negated(predicted[rows]), negated(0)) if counterfactual else None,
    )


@functools.partial(jax.jit, static_argnums=0)
def _scores(at: Split, params: Any, x: Any) -> Float[Array, "b classes"]:
    return jax.vmap(lambda one: logits(wide(at.outputs(params, one))))(x)


def _probability(scores: np.ndarray, pair: np.ndarray, tail: str | None) -> np.ndarray:
    if tail == "sigmoid":
        probability = np.exp(-np.logaddexp(0, -scores))
    else:
        shifted = np.exp(scores - scores.max(1, keepdims=True, initial=-np.inf))
        probability = shifted / shifted.sum(1, keepdims=True)
    return np.take_along_axis(probability, pair, 1)


def _classes(labels: Any, names: tuple[str, ...] | None, count: int, classes: int) -> np.ndarray:
    expected = f"{count} class indices from 0 to {classes - 1}, one for each example, or their names"
    array = np.asarray(labels)
    if array.dtype.kind == "U":
        array = np.array([_validate.class_of(str(name), names, "labels") for name in array.flat]).reshape(array.shape)
    if array.shape != (count,) or not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"labels: got {array.dtype} of shape {list(array.shape)}, expected {expected}.")
    if (wrong := np.flatnonzero((array < 0) | (array >= classes))).size:
        raise ValueError(f"labels: got class {array[wrong[0]]} for example {wrong[0]}, expected {expected}.")
    return array
