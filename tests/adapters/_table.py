"""Tables of models, printed by a sweep and committed: how they are written, read again, and compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
