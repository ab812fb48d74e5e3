"""camjax: class-activation maps for any JAX function.

This is the table of contents: every public name, and the file it lives in. A name is imported when it
is first used, because importing jax takes a second that `camjax --help` should not wait for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:  # what type checkers and editors read; a test holds it equal to the table below
    from camjax._model import Model as Model
    from camjax._model import Preprocess as Preprocess

_CONTENTS = {
    "camjax": (),  # modules that are public as they are
    "camjax._model": ("Model", "Preprocess"),
}
_HOME = {name: module for module, names in _CONTENTS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'camjax' has no attribute {name!r}")
    if _HOME[name] == "camjax":
        return importlib.import_module(f"camjax.{name}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
