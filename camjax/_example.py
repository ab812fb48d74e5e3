"""One example cut at the layer: its feature maps, and the model from there and from the start."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from camjax._axes import Axes
from camjax._split import Split
from camjax._target import Target, logits

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class Example:
    """One example after its one pass through the features; no array has a batch axis, but `value` and `rest`.

    Attributes:
        split: the model, cut.
        params: the model's parameters.
        x: the input.
        value: the layer's value, as the model has it for a batch of one.
        rest: what bypasses the layer.
        axes: the layout of `value`.
        maps: the feature maps A inside it, `[*space, C]`, in the model's dtype.
    """

    split: Split
    params: Any
    x: Any
    value: Any
    rest: Any
    axes: Axes
    maps: Any

    @classmethod
    def run(cls, split: Split, params: Any, x: Any) -> Example:
        """Evaluates the features: the only place where a backbone runs, except for methods that need `model`."""
        value, rest = split.features(params, _batched(x))
        axes = split.layout(value.shape)
        return cls(split, params, x, value, rest, axes, axes.to_map(value))

    def outputs(self, maps: Float[Array, "*space C"]) -> Any:
        """The model's outputs with `maps` planted at the layer; the head runs, the backbone does not."""
        return self.split.unbatched(self.split.head(self.params, self.axes.plant(maps, self.value), self.rest))

    def outputs_for(self, x: Any) -> Any:
        """The model's outputs for another input, in the scores that the head gives."""
        return self.split.outputs(self.params, x)

    def input_size(self) -> tuple[int, ...]:
        """The sizes of the input's axes that the layer's space axes come from."""
        return input_size(self.axes, self.x)


@dataclasses.dataclass(frozen=True)
class Linearised:
    """The head at the example's feature maps, linearised once, however many targets follow."""

    outputs: Any
    _pull: Any

    @classmethod
    def at(cls, example: Example) -> Linearised:
        """Evaluates the head and its vjp; the features stay outside of what is differentiated."""
        return cls.of(example.outputs, example.maps)

    @classmethod
    def of(cls, function: Callable[[Any], Any], point: Any) -> Linearised:
        """The same for any function from floating arrays to one example's outputs."""

        def floats(point: Any) -> tuple[dict[int, Any], Any]:
            outputs = function(point)
            return _floats(outputs), outputs

        _, pull, outputs = jax.vjp(floats, point, has_aux=True)
        return cls(outputs, pull)

    def score_and_gradient(self, target: Target) -> tuple[Float[Array, ""], Any]:
        """The score S of one target, and dS/dA (dS/dpoint) in the model's dtype."""
        leaves, tree = jax.tree.flatten(self.outputs)

        def score(values: dict[int, Any]) -> Any:
            return target(wide(tree.unflatten([values.get(i, leaf) for i, leaf in enumerate(leaves)])))

        s, cotangents = jax.vjp(score, _floats(self.outputs))
        return s, self._pull(cotangents(jnp.ones_like(s))[0])[0]


def space_dims(axes: Axes, x: Any, argument: str = "size") -> tuple[int, ...]:
    """The axes of one example's input leaf `axes.leaf` (no batch axis) that the layer's space axes come from."""
    shape = jax.tree.leaves(x)[axes.leaf].shape
    if axes.input_dims is not None:
        return tuple(dim - 1 for dim in axes.input_dims)
    if len(shape) - len(axes.grid) in (0, 1):
        return tuple(range(len(axes.grid)))
    raise ValueError(
        f"{argument}: it is not known which axes of the input, {list(shape)} per example, the layer's grid "
        f"{list(axes.grid)} comes from; pass size= (or None for no heatmap), or input_dims= within axes=."
    )


def input_size(axes: Axes, x: Any) -> tuple[int, ...]:
    """The sizes of these axes."""
    shape = jax.tree.leaves(x)[axes.leaf].shape
    return tuple(shape[dim] for dim in space_dims(axes, x))


def class_scores(split: Split, params: Any, x: Any) -> jax.ShapeDtypeStruct:
    """The shape and dtype of one example's class scores, found without running anything."""
    one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), x)
    return jax.eval_shape(lambda params, x: logits(split.outputs(params, x)), params, one)


def wide(tree: Any) -> Any:
    """Every floating leaf in float32 or wider: half-precision models are explained, not summed, in halves."""

    def one(leaf: Any) -> Any:
        narrow = jnp.issubdtype(leaf.dtype, jnp.floating) and jnp.finfo(leaf.dtype).bits < 32
        return leaf.astype(jnp.float32) if narrow else leaf

    return jax.tree.map(one, tree)


def _floats(outputs: Any) -> dict[int, Any]:
    # The outputs that can be differentiated, by their number among the leaves.
    leaves = jax.tree.leaves(outputs)
    return {i: leaf for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.inexact)}


def _batched(x: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[None], x)
