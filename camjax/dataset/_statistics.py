"""What the maps of a class have in common, chunk by chunk: a store is never in memory as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from camjax.dataset._open import Store

if TYPE_CHECKING:
    from jaxtyping import Float, Int


class ClassStatistics(NamedTuple):
    """Of each class that has explained examples, over its examples.

    Attributes:
        classes: `[n]`, ascending.
        examples: `[n]`, how many it has.
        map: `[n, *space]`, the mean of relu(raw) / max(raw): where in pictures of the class the evidence lies.
        score: `[n]`, the mean score.
        deviation: `[n]`, the scores' standard deviation.
        lowest: `[n]`, the lowest score.
        highest: `[n]`, the highest.
    """

    classes: Int[np.ndarray, " n"]
    examples: Int[np.ndarray, " n"]
    map: Float[np.ndarray, "n *space"]
    score: Float[np.ndarray, " n"]
    deviation: Float[np.ndarray, " n"]
    lowest: Float[np.ndarray, " n"]
    highest: Float[np.ndarray, " n"]


def statistics(store: Store, by: str = "prediction") -> ClassStatistics:
    """Per-class mean maps and scores, of the first target.

    The mean and the deviation are updated chunk by chunk (Chan, Golub and LeVeque 1983, equations 1.5):

        delta = mean_b - mean_a;  mean = mean_a + delta n_b / n;  M2 = M2_a + M2_b + delta^2 n_a n_b / n

    Args:
        store: what `camjax.dataset.open` returns.
        by: which class an example counts for: `"prediction"`, `"label"` or `"target"`.

    Raises:
        ValueError: the store has no such classes.
    """
    which = store.classes(by)
    classes = np.unique(which[which >= 0])
    grid = store.group["maps"].shape[2:]
    count, total = np.zeros(len(classes), np.int64), np.zeros((len(classes), *grid))
    mean, m2 = np.zeros(len(classes)), np.zeros(len(classes))
    lowest, highest = np.full(len(classes), np.inf), np.full(len(classes), -np.inf)
    step = store.group["maps"].chunks[0]
    for start in range(0, len(store), step):
        of = which[start : start + step]
        rows = np.flatnonzero(of >= 0)
        if not rows.size:
            continue
        found = store[start : start + len(of)]
        maps = np.maximum(np.asarray(found.raw)[rows, 0], 0).astype(np.float64)
        largest = maps.max(tuple(range(1, maps.ndim)), keepdims=True)
        maps = np.divide(maps, largest, out=np.zeros_like(maps), where=largest > 0)
        scores = np.asarray(found.score)[rows, 0].astype(np.float64)
        place = np.searchsorted(classes, of[rows])
        np.add.at(total, place, maps)
        for one in np.unique(place):
            own = scores[place == one]
            delta, n = own.mean() - mean[one], count[one] + len(own)
            m2[one] += ((own - own.mean()) ** 2).sum() + delta**2 * count[one] * len(own) / n
            mean[one] += delta * len(own) / n
            count[one] = n
            lowest[one], highest[one] = min(lowest[one], own.min()), max(highest[one], own.max())
    maps = total / np.maximum(count, 1).reshape(-1, *[1] * len(grid))
    return ClassStatistics(classes, count, maps, mean, np.sqrt(m2 / np.maximum(count, 1)), lowest, highest)
