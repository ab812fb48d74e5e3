"""What is asked of every picture, as it was typed; so that a wrong path is told before jax is imported."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from camjax.cli._prepare import Overrides


@dataclasses.dataclass(frozen=True)
class Question:
    """The options of `camjax explain` that the model and the maps depend on."""

    spec: str
    weights: Path | None
    layers: Sequence[str]
    fusion: str | None
    method: str
    seed: int
    targets: Sequence[str]
    scores: str
    prepare: Overrides
