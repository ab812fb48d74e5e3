"""How an explanation shows itself in a notebook."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from camjax.plot._overlay import colorize
from camjax.plot._rows import rows
from camjax.plot._sheet import Tile, enlarge, png_bytes, sheet

_ROWS, _COLUMNS = 4, 6  # what is drawn at most


def notebook_png(explanation: Any) -> bytes | None:
    """How an `Explanation` shows itself in a notebook: its heatmaps, examples down and targets across.

    At most 4 examples and 6 targets are drawn; the sheet says how many there are. Sequences (one
    space axis) become a strip; volumes show their maximum along the first axis. Maps of `size=None`
    are the positive part of `raw` over its maximum.

    Returns:
        PNG bytes; None without the extra `cli`, and where there are no numbers to draw (traced, or on
        another host's devices).

    Example:
        >>> from camjax import Explanation
        >>> maps, one = np.eye(8)[None], np.ones(1)
        >>> notebook_png(Explanation(maps, maps, None, score=one, target=one.astype(int), status=one))[:4]
        b'\\x89PNG'
    """
    if any(importlib.util.find_spec(extra) is None for extra in ("PIL", "matplotlib")):
        return None  # the notebook then shows the numbers, as it does any tuple
    if not all(_concrete(leaf) for leaf in explanation if leaf is not None):
        return None
    maps, titles, captions = rows(explanation, (_ROWS, _COLUMNS))
    tiles = [
        [Tile(enlarge(colorize(_flat(heat)), 160), titles[i][k], captions[i][k]) for k, heat in enumerate(row)]
        for i, row in enumerate(maps)
    ]
    ramp = np.linspace(1, 0, tiles[0][0].pixels.shape[0])
    bar = colorize(np.repeat(ramp[:, None], 16, 1))
    examples, targets = (*explanation.score.shape, 1, 1)[:2]
    if maps.shape[:2] == (examples, targets):
        return png_bytes(sheet(tiles, bar))
    note = f"{maps.shape[0]} of {examples} examples, {maps.shape[1]} of {targets} targets"
    return png_bytes(sheet(tiles, bar, note))


def _concrete(leaf: Any) -> bool:
    import jax
    from jax.core import Tracer

    if isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer):
        return leaf.is_fully_addressable
    return isinstance(leaf, np.ndarray)


def _flat(heat: np.ndarray) -> np.ndarray:
    """A map over any number of space axes as a picture."""
    if heat.ndim == 1:
        return np.repeat(heat[None], max(1, len(heat) // 6), 0)
    return heat.max(tuple(range(heat.ndim - 2)))
