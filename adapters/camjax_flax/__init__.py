"""camjax for Flax: a Linen or an NNX module becomes a `camjax.Model`, unchanged."""

from camjax_flax._linen import from_linen as from_linen
from camjax_flax._nnx import from_nnx as from_nnx
