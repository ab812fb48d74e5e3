"""Gradients that are the same for all examples, as those of a linear head are: then once is enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from camjax._example import Example, Linearised, class_scores, wide
from camjax._split import Split
from camjax._target import Logit, Target, Top
from camjax.methods._evaluate import constant


def one_gradient(
    split: Split, params: Any, x: Any, leaves: Any, axes: Any, target: Callable[[Any], Target], count: int
) -> bool:
    """Whether dS/dA is one for the whole batch: that of `target(leaves)`, whose leaves are mapped along `axes`."""

    def gradients(x: Any, leaves: Any) -> Any:
        head = Linearised.at(Example.run(split, params, x))
        resolved = target(leaves).resolve(wide(head.outputs))
        return jax.vmap(lambda one: head.score_and_gradient(one)[1], axis_size=count)(resolved)

    return constant(gradients, (0, axes), x, leaves)


def by_class(split: Split, params: Any, x: Any, target: Target) -> bool:
    """Whether each example asks in an order of its own for as many classes as there are, of a head as above.

    Then the maps of all classes are one matrix product, from which each example's are picked.
    """
    if not (isinstance(target, Top) or (isinstance(target, Logit) and target.index.shape[0] != 1)):
        return False
    if target.count < 2 or target.count < class_scores(split, params, x).shape[0]:
        return False
    one = jax.ShapeDtypeStruct((1,), "int32")
    return one_gradient(split, params, x, one, None, Logit, 1)
