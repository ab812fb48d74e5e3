"""What a run may be asked of every example."""

import jax
import numpy as np
import pytest

from camjax import targets
from camjax.dataset._target import target_of

LABELS = ("cat", "dog", "cow")


@pytest.mark.parametrize(
    ("target", "index"),
    [(2, [[2]]), ("dog", [[1]]), ([0, 2], [[0, 2]]), (("cow", 1), [[2, 1]]), (np.array([1, 2]), [[1, 2]])],
    ids=str,
)
def test_classes_are_the_same_for_every_example(target, index):
    assert target_of(target, LABELS, 3).index.tolist() == index


@pytest.mark.parametrize(
    "target",
    [None, "label", targets.top(2), targets.contrast("dog", "cat"), np.sum],
    ids=["predicted", "label", "top", "contrast", "function"],
)
def test_others_stay(target):
    assert target_of(target, LABELS, 3) is target


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (3, r"target: class 3 does not exist; the model has classes 0 to 2"),
        ([-1], r"target: class -1 does not exist"),
        ("cot", r"no class is called 'cot'; did you mean 'cow' or 'cat'"),
        (1.5, r"target: got 1.5; expected None \(the class predicted for each\), 'label'"),
        ([True], r"target: got \[True\]"),
        ([], r"target: got \[\]"),
        (targets.negated(np.array([0, 1])), r"it says something else for each example of a batch"),
    ],
    ids=str,
)
def test_what_is_no_target(target, message):
    if isinstance(target, targets.Target):
        target = target.bind(LABELS, 2)[0]
        assert jax.tree.leaves(target)[0].shape[0] == 2
    with pytest.raises(ValueError, match=message):
        target_of(target, LABELS, 3)
