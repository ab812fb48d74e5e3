"""`camjax layers`: the table of a model's layers."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np

import camjax
from camjax.cli import _models, _prepare


def table(spec: str, weights: Path | None, overrides: _prepare.Overrides) -> str:
    """The layer table as text; the default layer is marked with a star.

    Raises:
        UsageError, ValueError, ImportError: when there is no such model, or it does not take the input.
    """
    model = _models.build(spec, weights, trained=False, size=_prepare.size(overrides))
    preprocess = _prepare.resolve(model, spec, overrides)
    return str(camjax.layers(model, jax.ShapeDtypeStruct(_prepare.shape(preprocess), np.float32)))
