"""Guided Grad-CAM: where, times how in detail (Selvaraju et al., ICCV 2017, arXiv:1610.02391, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from camjax._axes import Axes
from camjax._example import space_dims
from camjax._explain import explain
from camjax._layers import split
from camjax._model import Model
from camjax._split import Split
from camjax._target import Top, as_target
from camjax._validate import check_input
from camjax.methods import GradCAM, Method
from camjax.saliency._attribute import attribute
from camjax.saliency._contract import Attribution, Saliency
from camjax.saliency._gradient import GuidedBackprop

_GRADCAM, _GUIDED = GradCAM(), GuidedBackprop()


def guided_gradcam(
    model: Model,
    x: Any,
    target: Any = None,
    *,
    layer: str | Split | None = None,
    cam: Method = _GRADCAM,
    method: Saliency = _GUIDED,
    scores: str = "logits",
    axes: Axes | Mapping[str, Any] | None = None,
    strict: bool = True,
    chunk: int | None = None,
    ids: Any = None,
    key: Any = None,
) -> Attribution:
    """Guided Grad-CAM: a class-activation map at the input's size, times Guided Backpropagation.

        values = heatmap * R        (section 3.2: bilinear upsampling, then the product, the same map for all colours)

    The map brings the class, Guided Backpropagation the detail. Where the map is zero, so is the product.

    Args:
        model: a `Model` with ReLUs.
        x: its input, as for `camjax.attribute`. The product is taken on the leaf from which the layer's space axes
            come; every other leaf gets None.
        target: as for `camjax.explain`.
        layer: as for `camjax.explain`.
        cam: the method of the map, `GradCAM()`.
        method: the factor in input space, `GuidedBackprop()`.
        scores: as for `camjax.explain`, and so are the other options.
        axes: see there.
        strict: see there.
        chunk: see there.
        ids: see there.
        key: see there.

    Returns:
        An `Attribution`, without the axis K unless the target had one; `status` has the flags of both factors.

    Shapes: as the input. Cost: that of both factors, with Grad-CAM two forward passes, and a backward pass of the model
    and one of its head per target. Choose it for pictures of fine detail that are class-discriminative.

    Raises:
        ValueError: as `camjax.explain` and `camjax.attribute`; for a model without ReLU, unless `method` is another.

    Example:
        >>> import camjax, jax, jax.numpy as jnp
        >>> def apply(params, x):
        ...     with jax.named_scope("conv"):
        ...         dims = ("NHWC", "HWIO", "NHWC")
        ...         x = jax.nn.relu(jax.lax.conv_general_dilated(x, params, (1, 1), "SAME", dimension_numbers=dims))
        ...     return x.mean((1, 2))
        >>> model = camjax.Model(apply, jnp.full((1, 1, 1, 2), 4.0))
        >>> camjax.guided_gradcam(model, jnp.eye(2)[None, :, :, None], 0).values[0, :, :, 0]
        Array([[1., 0.],
               [0., 1.]], dtype=float32)
    """
    x, batch = check_input(x)
    cut = split(model, x, layer, axes=axes, scores=scores)
    shared: dict[str, Any] = {"scores": scores, "strict": strict, "ids": ids, "key": key}
    explanation = explain(model, x, target, layer=cut, method=cam, chunk=chunk, **shared)
    bound, keep = as_target(target, model.labels, batch)
    if isinstance(bound, Top):  # one program has chosen the classes, so that both are about the same
        target = explanation.target if keep else jnp.expand_dims(explanation.target, 1)
    found = attribute(model, x, target, method=method, chunk=chunk, **shared)
    if isinstance(bound, Top) and not keep:
        found = jax.tree.map(lambda leaf: leaf[:, 0], found)
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), x)
    layout = cut.layout(jax.eval_shape(cut.features, cut.bound(model.params), one)[0].shape)
    dims = space_dims(layout, jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), x), "layer")
    leaves, tree = jax.tree.flatten(found.values, is_leaf=lambda leaf: leaf is None)
    factor = leaves[layout.leaf]
    leading = found.score.ndim
    others = [d for d in range(leading, factor.ndim) if d - leading not in dims]
    product = factor * jnp.expand_dims(jnp.asarray(explanation.heatmap), others)
    values = [product if i == layout.leaf else None for i in range(len(leaves))]
    return found._replace(values=tree.unflatten(values), status=found.status | explanation.status)
