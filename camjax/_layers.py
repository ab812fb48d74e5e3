"""`layers` and `split`: a model's layers, and the model cut at one of them."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from camjax._axes import Axes
from camjax._model import Model
from camjax._split import Split
from camjax._validate import check_choice, check_input
from camjax.fusion import FUSIONS, Fusion
from camjax.trace import BESIDE, traced

if TYPE_CHECKING:
    from camjax.trace import Layers, Traced


def layers(model: Model, x: Any) -> Layers:
    """The layers of a model that can be explained: `print` shows a table, with the default marked.

    Args:
        model: a `Model`.
        x: an input, batch axis first; only its shapes and dtypes matter (`jax.ShapeDtypeStruct` will do).

    Returns:
        A sequence of `Layer`; `.default` is the one that `explain` takes by itself.

    Example:
        >>> import camjax, jax, jax.numpy as jnp
        >>> def apply(params, x):
        ...     with jax.named_scope("conv"):
        ...         dims = ("NHWC", "HWIO", "NHWC")
        ...         x = jax.lax.conv_general_dilated(x, params, (1, 1), "SAME", dimension_numbers=dims)
        ...     return x.mean((1, 2))
        >>> model = camjax.Model(apply, jnp.ones((3, 3, 1, 2)))
        >>> camjax.layers(model, jnp.ones((1, 8, 8, 1))).default.name
        'conv'
    """
    return _traced(model, check_input(x, shapes=True)[0]).layers


def split(
    model: Model,
    x: Any,
    layer: str | Split | None = None,
    *,
    axes: Axes | Mapping[str, Any] | None = None,
    scores: str = "logits",
) -> Split:
    """The model cut at a layer: `features(params, x) -> (A, rest)` and `head(params, A, rest) -> outputs`.

    Args:
        model: a `Model`.
        x: an input, batch axis first; only its shapes and dtypes matter.
        layer: a layer's name, or None for the default layer. A hand-written `Split` is returned, with `axes` if given.
        axes: the layer's layout where it cannot be found: an `Axes`, or a dict of the arguments of `Axes.of`.
        scores: `"logits"`: the head ends before a final softmax or sigmoid; `"outputs"`: it ends as the model does.

    Raises:
        ValueError: for a layer that is unknown, ambiguous or without space axes.

    Example:
        >>> import camjax, jax, jax.numpy as jnp
        >>> def apply(params, x):
        ...     with jax.named_scope("conv"):
        ...         dims = ("NHWC", "HWIO", "NHWC")
        ...         x = jax.lax.conv_general_dilated(x, params, (1, 1), "SAME", dimension_numbers=dims)
        ...     return x.mean((1, 2))
        >>> model = camjax.Model(apply, jnp.ones((3, 3, 1, 2)))
        >>> cut = camjax.split(model, jnp.ones((1, 8, 8, 1)), "conv")
        >>> maps, rest = cut.features(model.params, jnp.ones((1, 8, 8, 1)))
        >>> cut.head(model.params, maps, rest).shape
        (1, 2)
    """
    if isinstance(layer, Split):
        return layer if axes is None else dataclasses.replace(layer, axes=axes)
    if layer is not None and not isinstance(layer, str):
        raise ValueError(
            f"layer: got {layer!r}, expected a layer's name (camjax.layers lists them), a camjax.Split, or None for "
            "the default layer."
        )
    return _traced(model, check_input(x, shapes=True)[0]).split(layer, axes=axes, scores=scores)


def splits(
    model: Model, x: Any, layer: Any, method: Any, axes: Any, scores: str, fusion: Any
) -> tuple[tuple[Split, ...], Fusion | None]:
    """The model cut at each of one or several layers, and how their maps become one; for `explain`'s arguments.

    Several layers are a list or tuple of names and splits, `"stages"` where the model has no layer of that name, or
    None for a method that fuses by itself.

    Raises:
        ValueError: as `split`; for an empty list, an unknown fusion, and a fusion of one layer.
    """
    own = getattr(method, "fusion", None)
    fuse: Fusion | None = fusion
    if fusion is not None and not callable(fusion):
        check_choice("fusion", fusion, tuple(FUSIONS))
        fuse = FUSIONS[fusion]
    if layer == "stages" or (layer is None and own is not None):
        trace = _traced(model, check_input(x, shapes=True)[0])
        if layer is None or not any(layer in (row.name, *row.aliases) for row in trace.layers):
            layer = trace.stages[-4:] or (None,)
    if isinstance(layer, list | tuple):
        if not layer:
            raise ValueError("layer: got an empty list, expected the names of the layers to fuse.")
        cuts = tuple(split(model, x, one, axes=axes, scores=scores) for one in layer)
        return cuts, fuse or own or FUSIONS["mean"]
    if fusion is not None:
        raise ValueError(
            f"fusion: it makes one map from those of several layers, but layer={layer!r} is one; pass a list of names, "
            "or layer='stages' for the last layer of each resolution."
        )
    cut = split(model, x, layer, axes=axes, scores=scores)
    if layer is None and cut.source is not None and cut.source.layers.named(cut.name).note == BESIDE:
        warnings.warn(
            f"layer: none was named; the default is {cut.name!r}, but {BESIDE}, so its map is a part of the "
            "explanation. Name the layer that is meant, or several to fuse; camjax.layers(model, x) lists them.",
            UserWarning,
            stacklevel=3,
        )
    return (cut,), own


def better_layer(model: Model, x: Any, cuts: tuple[Split, ...]) -> str | None:
    """The default layer's name, when it is another one than those that were cut; for a message."""
    try:
        default = _traced(model, x).layers.default
    except ValueError:  # a model explained through a hand-written Split need not be traceable
        return None
    return default.name if default is not None and default.name not in {cut.name for cut in cuts} else None


def _traced(model: Model, x: Any) -> Traced:
    if not isinstance(model, Model):
        raise ValueError(
            f"model: expected a camjax.Model, got {type(model).__name__}; make one with camjax.Model(apply, params) "
            "or with an adapter such as camjax_flax.from_linen or camjax_torch.from_torch."
        )
    return traced(model, x)
