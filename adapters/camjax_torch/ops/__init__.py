"""ATen operations as JAX functions, by kind."""

from camjax_torch.ops import (
    convolution,
    creation,
    elementwise,
    indexing,
    linalg,
    normalisation,
    pooling,
    reduction,
    resize,
    shape,
)
from camjax_torch.ops._table import IDENTITIES, TABLE, function_of, is_in_place, name_of

__all__ = [
    "IDENTITIES",
    "TABLE",
    "convolution",
    "creation",
    "elementwise",
    "function_of",
    "indexing",
    "is_in_place",
    "linalg",
    "name_of",
    "normalisation",
    "pooling",
    "reduction",
    "resize",
    "shape",
]
