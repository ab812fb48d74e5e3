"""The model, ready to explain: batches of one compiled shape, and what came out for each picture."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

import camjax
from camjax import targets
from camjax._layers import better_layer, splits
from camjax._needs import EVALUATES
from camjax.cli import _models, _prepare, _target
from camjax.cli._errors import UsageError
from camjax.cli._methods import method_name
from camjax.cli._question import Question
from camjax.methods import METHODS
from camjax.methods._contract import needs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_ONCE = 256 * 256 * 3  # entries of an input, at most; of more, what XLA is slow at takes longer than compiling it


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came out for one picture: everything over the K classes asked for, and the predicted class."""

    classes: np.ndarray
    names: list[str]
    scores: np.ndarray
    probabilities: np.ndarray | None
    predicted: int
    predicted_name: str
    heatmap: np.ndarray
    raw: np.ndarray
    weights: np.ndarray | None
    empty: np.ndarray


class Engine:
    """A model and a question, traced once.

    Args:
        question: what is asked of each picture.
        pictures: of how many at most it will be asked.

    Raises:
        UsageError, ValueError, ImportError: when they do not go together.
    """

    def __init__(self, question: Question, pictures: int) -> None:
        method = method_name(question.method, "--method")
        if question.scores not in ("logits", "outputs"):
            raise UsageError(f"--scores: got {question.scores!r}, expected logits or outputs.")
        model = _models.build(question.spec, question.weights, size=_prepare.size(question.prepare))
        self.preprocess = _prepare.resolve(model, question.spec, question.prepare)
        example = jax.ShapeDtypeStruct(_prepare.shape(self.preprocess), np.float32)
        self._method: Any = METHODS[method]()
        several: Any = question.layers
        if pictures == 1 and not several and _passes_once(self._method) and math.prod(example.shape) <= _ONCE:
            # What is rewritten for CPUs saves a fraction of a second for a picture, and takes seconds to compile.
            model = dataclasses.replace(model, rewrite=False)
        layer = several if len(several) > 1 else several[0] if several else None
        cuts, fusion = splits(model, example, layer, self._method, None, question.scores, question.fusion)
        self._splits, first = cuts, cuts[0]
        self.classes = len(model.labels) if model.labels is not None else _classes(model, first, example)
        self.assumed = model.preprocess is None
        self.model, self.note = _models.named(model, self.classes)
        wanted = _target.parse(question.targets, self.model, self.classes)
        self._target = _target.Reported(wanted)
        self._explain = camjax.explainer(
            self.model,
            example,
            layer=cuts if len(cuts) > 1 else first,
            fusion=fusion if len(cuts) > 1 else None,
            method=self._method,
            scores=question.scores,
        )
        self._key = jax.random.key(question.seed)
        self.title = METHODS[method].__name__
        self.layer = ", ".join(split.name for split in self._splits)
        # Of scores before a sigmoid, or after whatever the model ends with, no softmax is taken.
        self._normal = question.scores == "logits" and self._splits[0].tail != "sigmoid"
        # Exponentials of scores, divided by their sum, are probabilities only where the model says so.
        self.probability = "probability" if self._splits[0].tail == "softmax" else "softmax"

    def name(self, index: int) -> str:
        """The class's name, or its number."""
        labels = self.model.labels
        return labels[index] if labels is not None and index < len(labels) else f"class {index}"

    def __call__(self, inputs: Sequence[np.ndarray], batch: int, numbers: Sequence[int]) -> list[Answer | str]:
        """Explain up to `batch` pictures, as one batch of that size whatever their number.

        A picture's random numbers depend on the seed and on its own number in `numbers`.

        Returns:
            For each picture its answer, or the reason why there is none.

        Raises:
            UsageError: when the memory does not suffice.
        """
        padded = [*inputs, *[inputs[-1]] * (batch - len(inputs))]
        try:
            ids = np.array([*numbers, *[0] * (batch - len(inputs))], np.int32)
            result = jax.device_get(self._explain(self.model, np.stack(padded), self._target, ids=ids, key=self._key))
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise UsageError(f"--batch: {batch} pictures at once do not fit into memory; try fewer.") from error
        return [self._answer(jax.tree.map(lambda leaf, i=i: leaf[i], result)) for i in range(len(inputs))]

    def _answer(self, result: camjax.Explanation) -> Answer | str:
        status = np.asarray(result.status)[:-1]  # the last target is no class, but the sum over all
        if (status & int(camjax.Status.BAD_TARGET)).any():
            return f"the model has no class {max(result.target[:-2])}, though it has {self.classes} names."
        if (status & int(camjax.Status.NON_FINITE)).any():
            return "the score or the map is not finite: NaN in the weights, or the model overflows."
        if (status[:-1] & int(camjax.Status.ZERO_GRADIENT)).any():
            return f"the score does not depend on layer {self.layer}; {self._better()}."
        if (status[:-1] & int(camjax.Status.NOT_APPLICABLE)).any():
            return f"{self.title} at layer {self.layer}: {self._method.refusal}"
        scores = np.asarray(result.score)
        probabilities = np.exp(scores - scores[-1])
        if (status & int(camjax.Status.PROBABILITIES)).any():
            probabilities = scores  # the model returns probabilities, by a way that is not seen as a softmax
        predicted = int(result.target[-2])
        classes = np.asarray(result.target)[:-2]
        return Answer(
            classes=classes,
            names=[self.name(int(c)) for c in classes],
            scores=scores[:-2],
            probabilities=probabilities[:-2] if self._normal else None,
            predicted=predicted,
            predicted_name=self.name(predicted),
            heatmap=np.asarray(result.heatmap)[:-2],
            raw=np.asarray(result.raw)[:-2],
            weights=None if result.weights is None else np.asarray(result.weights)[:-2],
            empty=(status[:-1] & int(camjax.Status.EMPTY)) != 0,
        )

    def _better(self) -> str:
        example = jax.ShapeDtypeStruct(_prepare.shape(self.preprocess), np.float32)
        better = better_layer(self.model, example, self._splits)
        return f"try --layer {better}" if better else "name another one, camjax layers lists them"


def _passes_once(method: Any) -> bool:
    # The features forward, and the head once, and back: no convolution in a loop, nor any's derivative but the head's.
    return not (EVALUATES | {"lift"}).intersection(needs_of(method))


def _classes(model: camjax.Model, split: camjax.Split, example: Any) -> int:
    """How many classes the model scores."""

    def scores(params: Any, x: Any) -> Any:
        outputs = split.head(params, *split.features(params, x))
        leaves, tree = jax.tree.flatten(outputs)
        batched = split.batched or (True,) * len(leaves)
        one = [leaf[0] if own else leaf for leaf, own in zip(leaves, batched, strict=True)]
        return targets.logits(tree.unflatten(one))

    return jax.eval_shape(scores, model.params, example).shape[0]
