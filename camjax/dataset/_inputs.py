"""What a run reads: a source, and how its records become a model's inputs and labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from camjax import images
from camjax._model import Model, Preprocess
from camjax.dataset._feed import Batches
from camjax.dataset._source import Source, SourceError


@dataclasses.dataclass(frozen=True)
class Inputs:
    """A source for a model.

    Attributes:
        source: the examples.
        example: the shape and dtype of one input of the model's.
        pictures: how pictures become inputs; None where the source holds inputs.
        classes: the index of each class's name.
        labelled: whether each example's own label is explained.
    """

    source: Source
    example: jax.ShapeDtypeStruct
    pictures: Preprocess | None
    classes: Mapping[str, int]
    labelled: bool

    @classmethod
    def of(cls, source: Source, model: Model, preprocess: Preprocess | None, labelled: bool) -> Inputs:
        """The same, from what a user gives.

        Raises:
            ValueError: the preprocessing makes no sense, or labels are explained that are no classes.
        """
        classes = {} if model.labels is None else {name: index for index, name in enumerate(model.labels)}
        if labelled:
            _check_labels(source, classes)
        shape, spec = source.input_shape, None
        if shape is None:
            spec = preprocess or model.preprocess or Preprocess()
            blank, _ = images.preprocess(np.zeros((64, 64, 3), np.uint8), spec)  # a wrong spec is no picture's fault
            shape = blank.shape
        return cls(source, jax.ShapeDtypeStruct(shape, np.dtype(np.float32)), spec, classes, labelled)

    def batches(self, starts: Sequence[int], size: int, row: jax.ShapeDtypeStruct) -> Batches:
        """The batches that begin at `starts`."""
        return Batches(self.source, starts, size, row, self.pictures, self.classes, self.labelled)


def _check_labels(source: Source, classes: Mapping[str, int]) -> None:
    # Where labels are known beforehand, names that the model does not have are told before anything runs.
    known = set(source.labels or ())
    unknown = sorted(str(label) for label in known if isinstance(label, str) and label not in classes)
    if unknown:
        raise SourceError(
            f"target: 'label', but {', '.join(map(repr, unknown[:3]))}{' ...' if len(unknown) > 3 else ''} "
            f"{'is' if len(unknown) == 1 else 'are'} no class of the model; rename these labels, or give class numbers."
        )
    if source.labels is None and source.kind in ("folder", "list", "arrays"):
        raise SourceError("target: 'label', but the source has no labels; give a class, or top:1.")
