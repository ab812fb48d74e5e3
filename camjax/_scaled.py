"""The example at another size of its input: traced for that size, resized, run."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from camjax._example import Example, Linearised, space_dims, wide
from camjax._split import Split
from camjax._target import Target


def scaled(example: Example, target: Target, factor: float) -> tuple[Any, Any]:
    """The feature maps A and dS/dA of the input at `factor` times its size, resized with bicubic interpolation.

    The model is traced anew for the size, and cut at the layer of the same name.

    Raises:
        ValueError: when it cannot be: the split is written by hand, or the model takes one size alone.
    """
    leaves, tree = jax.tree.flatten(example.x)
    leaf, dims = example.axes.leaf, space_dims(example.axes, example.x, "method")
    picture = leaves[leaf]
    if not jnp.issubdtype(picture.dtype, jnp.floating):
        raise ValueError(
            f"x: leaf {leaf}, from which the layer's grid comes, is {picture.dtype}, and cannot be resized; convert "
            "pictures with x.astype(jnp.float32)."
        )
    shape = tuple(max(1, round(n * factor)) if dim in dims else n for dim, n in enumerate(picture.shape))
    resized = jax.image.resize(picture, shape, "cubic", antialias=False)
    x = tree.unflatten([*leaves[:leaf], resized, *leaves[leaf + 1 :]])
    split = _split_for(example.split, x, picture.shape, shape)
    other = Example.run(split, _bound(example, split), x)
    _, gradients = Linearised.at(other).score_and_gradient(target)
    return wide(other.maps), wide(gradients)


def _split_for(split: Split, x: Any, own: tuple[int, ...], shape: tuple[int, ...]) -> Split:
    if split.source is None:
        raise ValueError(
            f"layer: the method shows the model its input at other sizes, for which the hand-written camjax.Split "
            f"{split.name or '(without a name)'} says nothing; leave layer= out, or give the name of a layer "
            "(camjax.layers lists them), so that the model is traced."
        )
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), x)
    try:
        return split.source.at(one).split(split.name, scores="outputs" if split.tail is None else "logits")
    except ValueError as error:
        raise ValueError(
            f"method: it shows the model its input at other sizes, which must do as {list(own)} per example does. With "
            f"{list(shape)}, {error} Choose a method of one size, such as camjax.HiResCAM(), or a model that ends in "
            "an average over space."
        ) from error


def _bound(example: Example, other: Split) -> Any:
    # The parameters as the other trace takes them. What both captured is an argument of the program already.
    from camjax.trace._cut import Bound

    if not isinstance(example.params, Bound):
        return other.bound(example.params)
    params = example.params.params
    captured = example.split.bound(params).captured
    known = dict(zip(map(id, captured), example.params.captured, strict=True))
    bound = other.bound(params)
    if not isinstance(bound, Bound):
        return bound
    return bound._replace(captured=[known.get(id(array), array) for array in bound.captured])
