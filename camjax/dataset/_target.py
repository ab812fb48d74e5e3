"""What a run explains of every example."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from camjax._target import Logit, Target
from camjax._validate import class_of

LABEL = "label"
_EXPECTED = (
    "expected None (the class predicted for each), 'label' (each example's own), a class index or name, a list of "
    "them, an object of camjax.targets, or a function of one example's outputs"
)


def is_label(target: Any) -> bool:
    """Whether each example's own label is explained."""
    return isinstance(target, str) and target == LABEL


def target_of(target: Any, labels: tuple[str, ...] | None, classes: int | None) -> Any:
    """The same for `camjax.explainer`: classes as `[1, K]`, so that no list is taken for one class per example.

    Raises:
        ValueError: for what is no target, and for classes that the model does not have.
    """
    if isinstance(target, Target):
        if any(np.shape(leaf)[:1] not in ((), (1,)) for leaf in jax.tree.leaves(target)):
            raise ValueError(f"target: it says something else for each example of a batch; {_EXPECTED}.")
        return target
    if target is None or is_label(target) or (callable(target) and not isinstance(target, str)):
        return target
    several = np.asarray(target).tolist() if isinstance(target, np.ndarray | jax.Array) else target
    several = list(several) if isinstance(several, list | tuple) else [several]
    index = [class_of(one, labels) if isinstance(one, str) else one for one in several]
    if not index or any(isinstance(one, bool) or not isinstance(one, int | np.integer) for one in index):
        raise ValueError(f"target: got {target!r}; {_EXPECTED}.")
    if classes is not None and (wrong := [one for one in index if not 0 <= one < classes]):
        raise ValueError(f"target: class {wrong[0]} does not exist; the model has classes 0 to {classes - 1}.")
    return Logit(np.array([index], np.int32))
