"""PyTorch models as JAX functions for camjax.

torch is imported when something is converted; a model that `save` wrote is loaded without it.
"""

from typing import TYPE_CHECKING, Any

from camjax_torch._load import load as load
from camjax_torch._saved import save as save
from camjax_torch.ops._table import op as op

if TYPE_CHECKING:
    from camjax_torch._convert import from_exported as from_exported
    from camjax_torch._convert import from_torch as from_torch


def __getattr__(name: str) -> Any:
    if name in ("from_exported", "from_torch"):
        from camjax_torch import _convert

        return getattr(_convert, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
