"""Torch dtypes as JAX dtypes, by name, so that a converted model needs no torch."""

from __future__ import annotations

from typing import Any

import jax

_NAMES = {
    "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "complex64",
}  # fmt: skip


def dtype_name(dtype: Any) -> str:
    """The name of a torch dtype; a name stays one."""
    return str(dtype).removeprefix("torch.")


def jax_dtype(dtype: Any) -> Any:
    """The JAX dtype of a torch dtype or its name (64 bits become 32 unless JAX has `jax_enable_x64`).

    None stays None.
    """
    if dtype is None:
        return None
    name = dtype_name(dtype)
    if name not in _NAMES:
        raise NotImplementedError(f"camjax_torch: no JAX dtype for {dtype}; convert the module to float32 first.")
    return jax.dtypes.canonicalize_dtype(name)
