"""Convolutions of groups of channels, as XLA's CPU backend is fast at them: each group's kernel within a dense one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import lax

from camjax.trace._cpu_kernels import Window
from camjax.trace._cpu_wide import convolve

if TYPE_CHECKING:
    from jaxtyping import Array, Float


def grouped(
    window: Window, x: Float[Array, "n *space c"], k: Float[Array, "*taps i o"], least: int = 32, most: int = 16
) -> Float[Array, "n *out o"]:
    """`y = sum_t x_t K_t` per block of groups, whose `K_t` has their `k_t` along its diagonal and zeros elsewhere.

    A block has at least `least` channels, as the products are fast only then, though most of them are with zeros; of
    more than `most` blocks each convolution would have to be compiled. A NaN or infinity makes its whole block NaN.
    """
    within = k.shape[-2]
    groups, channels = x.shape[-1] // within, max(least, x.shape[-1] // most)
    out, merged = k.shape[-1] // groups, groups
    while merged * within > channels and (fewer := [m for m in range(1, merged) if groups % m == 0]):
        merged = fewer[-1]
    eye = jnp.eye(merged, dtype=k.dtype)
    blocks = []
    for first in range(0, groups, merged):
        part = lax.slice_in_dim(k, first * out, (first + merged) * out, axis=-1)
        part = part.reshape(*part.shape[:-1], merged, out)
        x_part = lax.slice_in_dim(x, first * within, (first + merged) * within, axis=-1)
        full = jnp.einsum("...igo,hg->...higo", part, eye).reshape(*k.shape[:-2], merged * within, merged * out)
        blocks.append(convolve(window, x_part, full))
    return jnp.concatenate(blocks, -1)
