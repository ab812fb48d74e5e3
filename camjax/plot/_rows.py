"""An Explanation as rows of maps, each with the words that stand above it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Rows(NamedTuple):
    """Maps `[rows, K, *space]` in 0..1, and for each a title and a caption."""

    maps: np.ndarray
    titles: list[list[str]]
    captions: list[list[str]]


def rows(explanation: Any, most: tuple[int, int] | None = None) -> Rows:
    """The maps of an Explanation, one row for each example, one column for each target.

    Without a heatmap (`size=None`) the coarse map stands in; values beyond 0..1 (`normalize=None`) are
    shown as their positive part over its maximum. The caption says what a black map cannot. Of more
    examples and targets than `most` the first are taken, before anything is copied from a device.
    """
    if most is not None and explanation.score.ndim in (1, 2):
        first = tuple(slice(n) for n in most[: explanation.score.ndim])
        explanation = explanation._replace(
            **{
                name: leaf[first]
                for name, leaf in explanation._asdict().items()
                if name in ("heatmap", "raw", "score", "target") and leaf is not None
            }
        )
    score = np.asarray(explanation.score)
    lead = (-1, score.shape[1] if score.ndim > 1 else 1)
    maps = np.asarray(explanation.raw if explanation.heatmap is None else explanation.heatmap)
    maps = maps.reshape(score.size // lead[1], lead[1], *maps.shape[score.ndim :]).astype(np.float64)
    score, target = score.reshape(lead), np.asarray(explanation.target).reshape(lead)
    space = tuple(range(2, maps.ndim))
    finite = np.asarray(np.isfinite(maps).all(space))
    maps = np.where(np.isfinite(maps), maps, 0)
    low, high = maps.min(space, keepdims=True), maps.max(space, keepdims=True)
    peak = np.where((explanation.heatmap is None) | (low < 0) | (high > 1), high, 1)
    maps = np.maximum(maps, 0) / np.where(peak > 0, peak, 1)
    empty = np.asarray(maps.max(space) == 0)

    def caption(i: int, k: int) -> str:
        if not finite[i, k]:
            return "not finite"
        return f"score {score[i, k]:.3g}" + (", no evidence" if empty[i, k] else "")

    titles = [["target" if c < 0 else f"class {c}" for c in row] for row in target]
    return Rows(maps, titles, [[caption(i, k) for k in range(lead[1])] for i in range(len(score))])
