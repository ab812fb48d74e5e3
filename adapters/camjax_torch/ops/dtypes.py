"""Torch dtypes as JAX dtypes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import torch

_DTYPES = {
    torch.float16: jnp.float16, torch.bfloat16: jnp.bfloat16, torch.float32: jnp.float32,
    torch.float64: jnp.float64, torch.int8: jnp.int8, torch.int16: jnp.int16, torch.int32: jnp.int32,
    torch.int64: jnp.int64, torch.uint8: jnp.uint8, torch.bool: jnp.bool_, torch.complex64: jnp.complex64,
}  # fmt: skip


def jax_dtype(dtype: Any) -> Any:
    """The JAX dtype of a torch dtype (64 bits become 32 unless JAX has `jax_enable_x64`); None stays None."""
    if dtype is None:
        return None
    if dtype not in _DTYPES:
        raise NotImplementedError(f"camjax_torch: no JAX dtype for {dtype}; convert the module to float32 first.")
    return jax.dtypes.canonicalize_dtype(_DTYPES[dtype])
