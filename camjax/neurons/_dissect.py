"""Network Dissection (Bau et al., CVPR 2017, arXiv:1704.05796): which concept each channel detects."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax._axes import Axes
from camjax._chunks import check_batch, chunks, shapes, take
from camjax._example import Example, wide
from camjax._layers import split as cut
from camjax._model import Model
from camjax._postprocess import upsample
from camjax._split import Split
from camjax._validate import check_input
from camjax.neurons._dissection import Dissection

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int

_PIXELS = 2**24  # how many upsampled values are in memory at once; also how far float32 counts
_COUNTS = 2**31 - 1


def dissect(
    model: Model,
    x: Any,
    masks: Bool[np.ndarray, "N concepts *size"],
    concepts: Sequence[str],
    *,
    layer: str | Split | None = None,
    axes: Axes | Mapping[str, Any] | None = None,
    quantile: float = 0.005,
    least: float = 0.04,
    batch: int = 32,
) -> Dissection:
    """Names for the channels of a layer: the concept whose masks overlap most with where the channel is active.

        P(a_k > T_k) = quantile                                    over all positions of all pictures
        M_k = U(A_k) > T_k                                         where channel k is active, bilinear
        IoU[k, c] = sum |M_k and L_c| / sum |M_k or L_c|           both sums over all pictures

    T_k is the lowest value that no more than that share of the channel's values exceeds, exactly. (The paper writes
    M_k with >=, its authors' code with >, and so does this: a channel that is zero almost everywhere has T_k = 0, and
    would be active wherever it is zero.) A concept names a channel when its IoU is above `least`.

    Cost: two forward passes up to the layer for each picture. `batch` pictures are on the device at once, and of the
    values of each channel the highest `quantile` of all that the pictures have.

    Args:
        model: a `Model`.
        x: N pictures as the model's input, an array or a pytree of arrays, also memory-mapped ones. The more, the
            better: rare concepts need hundreds of pictures in which they are.
        masks: `[N, concepts, *size]`, bool or 0 and 1: where in each picture each concept is, at any resolution. They
            may overlap. Every picture must be labelled with every concept: what is not marked counts as absent.
        concepts: the concepts' names.
        layer: one layer, as for `camjax.explain`.
        axes: see there.
        quantile: the share of a channel's values that count as active.
        least: the overlap above which a concept names a channel.
        batch: how many pictures run at once; it does not change the result.

    Raises:
        ValueError: for masks that are missing, of another shape, not bool, or empty; for names that are not as many,
            or not all different; for activations that are not finite; where `quantile` of all positions is less than
            one; for a layer as `camjax.explain`.

    Example:
        >>> import camjax
        >>> drawn = camjax.testbed.scenes(3, 40)
        >>> concepts, masks = camjax.testbed.concepts(drawn)
        >>> found = dissect(camjax.testbed.model(), camjax.testbed.preprocess(drawn.images), masks, concepts)
        >>> found.iou.shape, len(found.names)
        ((64, 20), 64)
    """
    like, count = check_input(shapes(x), shapes=True)
    for name, share in (("quantile", quantile), ("least", least)):
        if not 0 < share < 1:
            raise ValueError(f"{name}: got {share!r}, expected a number between 0 and 1.")
    check_batch(batch)
    if isinstance(layer, list | tuple):
        raise ValueError(f"layer: the channels of one layer are dissected, got {layer!r}; name one layer.")
    at = cut(model, like, layer, axes=axes)
    params = at.bound(model.params)
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), like)
    maps = jax.eval_shape(functools.partial(_maps, at), params, one)
    *grid, channels = maps.shape[1:]
    concepts = tuple(concepts)
    masks = _checked(masks, concepts, count, len(grid))

    positions = count * math.prod(grid)
    above = math.floor(quantile * positions + 1e-9)
    if above < 1:
        raise ValueError(
            f"x: {count} pictures have {positions} positions at the layer, of which a share of {quantile} is less than "
            f"one; give at least {math.ceil(1 / (quantile * math.prod(grid)))} pictures, or a larger quantile."
        )
    size = masks.shape[2:]
    batch = min(batch, count, max(1, _COUNTS // math.prod(size)))
    highest = jnp.full((channels, above + 1), -jnp.inf, maps.dtype)
    for rows, valid in chunks(count, batch):
        highest = _highest(at, params, take(x, rows), valid, highest)
    thresholds = highest[:, -1]
    if not bool(jnp.isfinite(highest).all()):
        raise ValueError(
            f"layer {at.name or 'of the Split'}: activations are not finite; look for NaN in x and in the weights."
        )
    sums = [np.zeros(shape, np.int64) for shape in ((channels, len(concepts)), channels, len(concepts))]
    for rows, valid in chunks(count, batch):
        part = _overlap(at, params, take(x, rows), masks[rows], valid, thresholds)
        sums = [total + np.asarray(pixels) for total, pixels in zip(sums, part, strict=True)]
    both, active, there = sums
    either = active[:, None] + there - both
    return Dissection(concepts, both / np.maximum(either, 1), np.asarray(thresholds), least)


@functools.partial(jax.jit, static_argnums=0)
def _highest(
    at: Split, params: Any, x: Any, valid: Bool[Array, " b"], kept: Float[Array, "C m"]
) -> Float[Array, "C m"]:
    # The m highest values of each channel so far: exact, and a small part of all values.
    maps = _maps(at, params, x)
    values = jnp.moveaxis(maps, -1, 0).reshape(maps.shape[-1], maps.shape[0], -1)
    values = jnp.where(jnp.isfinite(values), values, jnp.nan)  # NaN ranks above all: one is enough to be seen
    values = jnp.where(valid[None, :, None], values, -jnp.inf)
    return jax.lax.top_k(jnp.concatenate([kept, values.reshape(len(kept), -1)], 1), kept.shape[1])[0]


@functools.partial(jax.jit, static_argnums=0)
def _overlap(
    at: Split,
    params: Any,
    x: Any,
    masks: Bool[Array, "b concepts *size"],
    valid: Bool[Array, " b"],
    thresholds: Float[Array, " C"],
) -> tuple[Int[Array, "C concepts"], Int[Array, " C"], Int[Array, " concepts"]]:
    # In pixels, summed over these pictures: where channel and concept both are, and where each of them is.
    size = masks.shape[2:]
    group = max(1, _PIXELS // math.prod(size))
    masks = (masks & valid.reshape(-1, *[1] * (masks.ndim - 1))).reshape(*masks.shape[:2], -1)

    def picture(row: Any) -> tuple[Any, Any]:
        maps, concept, counts = row

        def channel(one: Any) -> tuple[Any, Any]:
            on = ((upsample(one[0], size) > one[1]) & counts).reshape(-1).astype(jnp.float32)
            return concept.astype(jnp.float32) @ on, on.sum()

        both, active = jax.lax.map(channel, (jnp.moveaxis(maps, -1, 0), thresholds), batch_size=group)
        return both.astype(jnp.int32), active.astype(jnp.int32)

    both, active = jax.lax.map(picture, (_maps(at, params, x), masks, valid))
    return both.sum(0), active.sum(0), masks.sum((0, 2), dtype=jnp.int32)


def _maps(at: Split, params: Any, x: Any) -> Float[Array, "b *space C"]:
    return jax.vmap(lambda one: wide(Example.run(at, params, one).maps))(x)


def _checked(masks: Any, concepts: tuple[str, ...], count: int, space: int) -> Any:
    wrong = [name for name in concepts if not isinstance(name, str)]
    if wrong or not concepts or len(set(concepts)) != len(concepts):
        twice = sorted({name for name in concepts if concepts.count(name) > 1}, key=str)
        got = f"{wrong[0]!r}" if wrong else f"{twice[0]!r} twice" if twice else "none"
        raise ValueError(f"concepts: got {got}, expected the concepts' names, all different.")
    expected = f"bool of shape [{count}, {len(concepts)}, {', '.join(['size'] * space)}]: pictures, concepts, space"
    if not (hasattr(masks, "shape") and hasattr(masks, "dtype")):
        raise ValueError(f"masks: got {type(masks).__name__}, expected an array, {expected}.")
    shape = tuple(masks.shape)
    if shape[:2] != (count, len(concepts)) or len(shape) != 2 + space or 0 in shape:
        raise ValueError(f"masks: got shape {list(shape)}, expected {expected}, at any resolution.")
    if masks.dtype != bool:
        raise ValueError(f"masks: got {masks.dtype}, expected {expected}; make it so, for example by masks > 0.5.")
    if math.prod(shape[2:]) >= _PIXELS:
        raise ValueError(f"masks: {list(shape[2:])} are more than {_PIXELS} pixels; give them at a lower resolution.")
    if not masks.any():
        raise ValueError("masks: no concept is anywhere; every mask is empty.")
    return masks
