"""Convolution. Images: [batch, channel, *space]; kernels in Flax layout, [*space, in, out]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax import lax

from camjax_torch.ops._table import op

if TYPE_CHECKING:
    from jaxtyping import Array, Float

Size = int | Sequence[int]


def per_axis(value: Size, axes: int) -> tuple[int, ...]:
    """Torch's shorthand: one number stands for every space axis, so does a sequence of one."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


def _dimension_numbers(axes: int) -> tuple[str, str, str]:
    space = "DHW"[-axes:]
    return f"NC{space}", f"{space}IO", f"NC{space}"


def _add_bias(y: Float[Array, "..."], bias: Float[Array, " c"] | None) -> Float[Array, "..."]:
    return y if bias is None else y + bias.reshape(-1, *(1,) * (y.ndim - 2))


@op("conv1d.default", "conv2d.default", "conv3d.default")
def conv(
    x: Float[Array, "b c *space"],
    kernel: Float[Array, "*k i o"],
    bias: Float[Array, " o"] | None = None,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Float[Array, "b o *out"]:
    """Cross-correlation of an image with `kernel`, zeros around it."""
    axes = kernel.ndim - 2
    pad = per_axis(padding, axes)
    y = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=per_axis(stride, axes),
        padding=[(p, p) for p in pad],
        rhs_dilation=per_axis(dilation, axes),
        dimension_numbers=_dimension_numbers(axes),
        feature_group_count=groups,
    )
    return _add_bias(y, bias)


@op("conv1d.padding", "conv2d.padding", "conv3d.padding")
def conv_same(x, kernel, bias=None, stride=1, padding="valid", dilation=1, groups=1):
    """`conv` with its padding in words: `"valid"`, or `"same"` (an odd remainder goes to the end)."""
    axes = kernel.ndim - 2
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(per_axis(dilation, axes), kernel.shape[:axes], strict=True)]
        x = jnp.pad(x, [(0, 0), (0, 0), *((t // 2, t - t // 2) for t in total)])
    return conv(x, kernel, bias, stride, 0, dilation, groups)


@op("convolution.default")
def convolution(x, kernel, bias, stride, padding, dilation, transposed, output_padding, groups):
    """The operation that every torch convolution decomposes into."""
    if transposed:
        return conv_transpose(x, kernel, bias, stride, padding, output_padding, groups, dilation)
    return conv(x, kernel, bias, stride, padding, dilation, groups)


@op("conv_transpose1d.default", "conv_transpose2d.input", "conv_transpose3d.input")
def conv_transpose(x, kernel, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The transpose of `conv` (its gradient): the image is dilated by `stride`, the kernel turned round.

    `kernel` is torch's [in, out / groups, *space] with the space axes brought to the front: [*space, in,
    out / groups].
    """
    axes = kernel.ndim - 2
    stride, pad, extra, dilation = (per_axis(v, axes) for v in (stride, padding, output_padding, dilation))
    reach = [d * (k - 1) for d, k in zip(dilation, kernel.shape[:axes], strict=True)]
    # [*space, groups * i, o] -> [*space, i, groups * o]: XLA takes the groups from the outputs
    split = kernel.reshape(*kernel.shape[:axes], groups, -1, kernel.shape[-1])
    grouped = jnp.moveaxis(split, axes, -2).reshape(*kernel.shape[:axes], split.shape[axes + 1], -1)
    y = lax.conv_general_dilated(
        x,
        jnp.flip(grouped, tuple(range(axes))),
        window_strides=(1,) * axes,
        padding=[(r - p, r - p + e) for r, p, e in zip(reach, pad, extra, strict=True)],
        lhs_dilation=stride,
        rhs_dilation=dilation,
        dimension_numbers=_dimension_numbers(axes),
        feature_group_count=groups,
    )
    return _add_bias(y, bias)
