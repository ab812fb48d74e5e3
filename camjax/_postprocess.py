"""From a coarse map to a heatmap: ReLU, upsample, normalise, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax._explanation import Explanation

if TYPE_CHECKING:
    from jaxtyping import Array, Float

NORMALIZE = ("max", "minmax", None)
# Names for users, and what `jax.image.resize` calls them.
UPSAMPLING = {"bilinear": "linear", "nearest": "nearest"}


def upsample(maps: Float[Array, "*space"], size: Sequence[int], method: str = "bilinear") -> Float[Array, "*size"]:
    """One map at another size, any number of space axes; half-pixel centres, no antialiasing.

    This is `align_corners=False` in PyTorch and the default of OpenCV. A weighted mean of neighbours: the map's
    extremes are never exceeded, and a constant map stays constant.

    >>> upsample(jnp.array([0.0, 1.0]), (4,))
    Array([0.  , 0.25, 0.75, 1.  ], dtype=float32)
    """
    if tuple(size) == maps.shape:
        return maps
    return jax.image.resize(maps, tuple(size), UPSAMPLING[method], antialias=False)


def normalised(maps: Float[Array, "*size"], how: str | None) -> Float[Array, "*size"]:
    """One map divided by its maximum (`"max"`), shifted and scaled to 0..1 (`"minmax"`), or as it is (None).

    A map without a positive value becomes zero, and so does a constant one with `"minmax"`: never NaN, and
    so is the gradient.

    >>> normalised(jnp.array([0.0, 2.0, 4.0]), "max")
    Array([0. , 0.5, 1. ], dtype=float32)
    >>> normalised(jnp.zeros(2), "max")
    Array([0., 0.], dtype=float32)
    """
    if how is None:
        return maps
    if how == "minmax":
        maps = maps - maps.min()
    top = maps.max()
    # Below the smallest normal number a quotient is no longer reliable (and may have been flushed to zero).
    # Written so that a NaN is not taken for an empty map.
    empty = top < jnp.finfo(maps.dtype).tiny
    return jnp.where(empty, jnp.zeros_like(maps), maps / jnp.where(empty, jnp.ones_like(top), top))


def to_heatmap(
    raw: Float[Array, "*space"],
    size: Sequence[int],
    normalize: str | None = "max",
    upsampling: str = "bilinear",
) -> Float[Array, "*size"]:
    """One raw map, made a heatmap: ReLU, then upsample, then normalise.

    The maximum is taken *after* upsampling: a peak between two pixels of the layer is lower than both, and
    every heatmap that has any evidence reaches 1.
    """
    return normalised(upsample(jax.nn.relu(raw), size, upsampling), normalize)


def heatmap(
    explanation: Explanation,
    size: Sequence[int],
    *,
    normalize: str | None = "max",
    upsampling: str = "bilinear",
) -> Float[Array, "*batch *size"]:
    """Heatmaps at any size from an explanation, with or without its K axis.

    For when many maps are kept at the layer's resolution (`size=None`), and a few are looked at.

    Args:
        explanation: what `camjax.explain` or an explainer returned.
        size: one length per space axis.
        normalize: `"max"`, `"minmax"` or None, as for `camjax.explain`.
        upsampling: `"bilinear"` or `"nearest"`, as for `camjax.explain`.

    Raises:
        ValueError: when `size` has another number of axes than the maps, or an option is unknown.

    >>> import camjax
    >>> one = jnp.zeros((1, 1))
    >>> maps = camjax.Explanation(None, jnp.array([[[[0.0, 4.0]]]]), None, one, one.astype(int), one.astype(int))
    >>> camjax.heatmap(maps, (1, 4))[0, 0]
    Array([[0.  , 0.25, 0.75, 1.  ]], dtype=float32)
    """
    check(size, normalize, upsampling)
    leading = explanation.score.ndim
    if len(size) != explanation.raw.ndim - leading:
        raise ValueError(
            f"size: the maps have {explanation.raw.ndim - leading} space axes (shape "
            f"{explanation.raw.shape[leading:]}), got size={tuple(size)}; give one length per space axis."
        )

    def one(raw: Array) -> Array:
        return to_heatmap(raw, size, normalize, upsampling)

    for _ in range(leading):
        one = jax.vmap(one)
    return one(explanation.raw)


def check(size: Any, normalize: Any, upsampling: Any) -> None:
    """Raises ValueError for options that do not make a heatmap from a raw map."""
    from camjax import _validate  # here, as it knows the methods, of which some use this file

    _validate.check_choice("normalize", normalize, NORMALIZE)
    _validate.check_choice("upsampling", upsampling, tuple(UPSAMPLING))
    if size is None or (isinstance(size, str) and size == "input"):
        return
    lengths = size if isinstance(size, tuple | list) else ()
    if not lengths or any(isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1 for n in lengths):
        raise ValueError(
            f"size: got {size!r}, expected 'input', None (no heatmap), or one positive int per space axis such "
            "as (224, 224)."
        )
