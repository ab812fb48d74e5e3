"""PyTorch models as JAX functions for camjax."""

from camjax_torch._convert import from_exported as from_exported
from camjax_torch._convert import from_torch as from_torch
from camjax_torch._load import load as load
from camjax_torch.ops._table import op as op
