"""ATen operations as JAX functions, by kind."""

from camjax_torch.ops import (
    convolution as convolution,
    elementwise as elementwise,
    linalg as linalg,
    normalisation as normalisation,
    resize as resize,
    shape as shape,
)
from camjax_torch.ops._table import IDENTITIES as IDENTITIES, TABLE as TABLE, name_of as name_of
