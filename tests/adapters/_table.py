"""Tables of models, printed by a sweep and committed: how they are written, read again, and compared."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np


def line(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def header(titles: Sequence[str]) -> str:
    """The two lines with which a Markdown table begins."""
    return f"{line(titles)}\n|{'---|' * len(titles)}"


def rows(path: Path) -> dict[str, tuple[str, ...]]:
    """The rows of the table in a Markdown file, by their first cell."""
    lines = [text for text in path.read_text().splitlines() if text.startswith("|")]
    cells = [tuple(cell.strip() for cell in text.strip("|").split("|")) for text in lines[2:]]
    return {row[0]: row for row in cells}


def error(got: Any, expected: Any) -> float:
    """The largest difference, relative to the largest value."""
    assert np.shape(got) == np.shape(expected), f"{np.shape(got)} against {np.shape(expected)}"
    largest = np.abs(expected).max()
    assert largest > 0, "nothing but zeros shows nothing"
    return float(np.abs(np.asarray(got) - np.asarray(expected)).max() / largest)


def printed(titles: Sequence[str], entries: Iterable[tuple[str, Any]], cells: Callable[[Any], Sequence[str]]) -> int:
    """Print a table, a row at a time, and on the error stream which entries failed; 1 if any did."""
    print(header(titles), flush=True)
    failed = 0
    for name, entry in entries:
        try:
            print(line(cells(entry)), flush=True)
        except Exception as problem:  # every other row is wanted all the same
            failed = 1
            print(f"{name}: {type(problem).__name__}: {problem}", file=sys.stderr, flush=True)
        jax.clear_caches()
        gc.collect()
    return failed
