"""What a method asks for by name, made for one example and one target: the providers of `methods.NEEDS`."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax import _postprocess
from camjax._example import Example, Linearised, space_dims, wide
from camjax._scaled import scaled
from camjax._target import Target, logits, pick
from camjax.methods._contract import Method, needs_of


@dataclasses.dataclass(frozen=True)
class Given:
    """One example and one target, as the pipe hands them to the providers.

    Attributes:
        example: the example, cut at the layer.
        head: its head, linearised; None unless the method asks for gradients.
        target: the target, resolved, for one k.
        score: the score S.
        gradients: dS/dA, or None likewise.
        key: the example's random key, or None.
        upsampling: how maps are upsampled.
        chunk: how many evaluations may run at once.
        method: what messages call the method.
    """

    example: Example
    head: Linearised | None
    target: Target
    score: Any
    gradients: Any
    key: Any
    upsampling: str
    chunk: int
    method: str = "the method"

    def need(self, name: str) -> Any:
        """What the method's parameter of this name gets."""
        return PROVIDERS[name](self)


def _score_of_maps(given: Given) -> Callable[[Any], Any]:
    return lambda maps: given.target(wide(given.example.outputs(maps)))


def _score_of_input(given: Given) -> Callable[[Any], Any]:
    return lambda x: given.target(wide(given.example.outputs_for(x)))


def _probability_of_input(given: Given) -> Callable[[Any], Any]:
    index = given.target.class_index()
    if isinstance(index, int):
        raise ValueError(
            "target: the method compares class probabilities, so the target must be about a class (an index, a name, "
            f"targets.top(k) or None); got {type(given.target).__name__}."
        )
    return lambda x: pick(jax.nn.softmax(wide(logits(given.example.outputs_for(x)))), index)


def _maps_and_gradients_of_input(given: Given) -> Callable[[Any], tuple[Any, Any]]:
    def run(x: Any) -> tuple[Any, Any]:
        other = Example.run(given.example.split, given.example.params, x)
        _, gradients = Linearised.at(other).score_and_gradient(given.target)
        return wide(other.maps), wide(gradients)

    return run


def _upsample(given: Given) -> Callable[[Any], Any]:
    return lambda maps: _postprocess.upsample(maps, given.example.input_size(), given.upsampling)


def _shares(given: Given) -> list[Any]:
    example = given.example
    split, axes = example.split, example.axes
    if split.source is None:
        raise ValueError(
            f"layer: the method adds up the biases of the whole model, which the hand-written camjax.Split "
            f"{split.name or '(without a name)'} does not show; leave layer= out, or give the name of a layer "
            "(camjax.layers lists them), so that the model is traced."
        )
    sites = split.source.sites("outputs" if split.tail is None else "logits")
    if not sites.grids.known:
        raise ValueError(
            "method: it shows where in the picture biases act, but no convolution of this model labels the space axes "
            "of x, so that is not known; choose a method of the layer alone, such as camjax.HiResCAM()."
        )
    terms = sites.terms(
        split,
        example.params,
        jax.tree.map(lambda leaf: leaf[None], example.x),
        lambda outputs: given.target(wide(outputs)),
    )
    dims = space_dims(axes, example.x)
    floats = [i for i, leaf in enumerate(jax.tree.leaves(example.x)) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    if axes.leaf not in floats:
        raise ValueError(
            f"x: leaf {axes.leaf}, from which the layer's grid comes, is no floating array, so that no share of the "
            "score is its own; convert pictures with x.astype(jnp.float32)."
        )
    of_input = jnp.moveaxis(terms[floats.index(axes.leaf)].values[0], dims, range(len(dims)))
    placed = [(term, term.axes) for term in terms[len(floats) :]]
    maps = [where.to_map(term.values) for term, where in placed if where is not None and where.leaf == axes.leaf]
    return [of_input.reshape(*example.input_size(), -1), *maps]


def _attention(given: Given) -> Any:
    from camjax._attention import attention  # nor is this one

    return attention(given)


def _multipliers(given: Given) -> Any:
    from camjax.trace._lift import multipliers  # the trace is not needed by most

    maps = wide(given.example.maps)

    def head(maps: Any) -> Any:
        return given.target(wide(given.example.outputs(maps)))

    return multipliers(head, maps, jnp.zeros_like(maps)).astype(maps.dtype)


def _masked(given: Given) -> Callable[..., Any]:
    leaf, dims = given.example.axes.leaf, space_dims(given.example.axes, given.example.x, "method")

    def masked(mask: Any, *, fill: Any = None, blur: tuple[int, float] | None = None, inputs: Any = None) -> Any:
        leaves, tree = jax.tree.flatten(given.example.x if inputs is None else inputs)
        picture = leaves[leaf]
        shape = [picture.shape[dim] if dim in dims else 1 for dim in range(picture.ndim)]
        order = sorted(range(len(dims)), key=lambda axis: dims[axis])
        share = jnp.broadcast_to(jnp.transpose(mask, order).reshape(shape), picture.shape).astype(picture.dtype)
        if blur is not None:
            fill = _blurred(picture, dims, *blur)
        seen = picture * share
        if fill is not None:
            seen = seen + jnp.broadcast_to(jnp.asarray(fill, picture.dtype), picture.shape) * (1 - share)
        return tree.unflatten([*leaves[:leaf], seen, *leaves[leaf + 1 :]])

    return masked


def _blurred(picture: Any, dims: tuple[int, ...], length: int, deviation: float) -> Any:
    # A Gaussian along each space axis, mirrored at the ends without repeating them.
    for dim in dims:
        n, reach = picture.shape[dim], length // 2
        taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
        period = max(2 * n - 2, 1)
        source = (np.arange(n)[:, None] + np.arange(-reach, reach + 1)) % period
        matrix = np.zeros((n, n))
        np.add.at(matrix, (np.arange(n)[:, None], np.where(source < n, source, period - source)), taps / taps.sum())
        line = jnp.asarray(matrix, picture.dtype)
        picture = jnp.moveaxis(jnp.tensordot(line, picture, ((1,), (dim,)), precision="highest"), 0, dim)
    return picture


PROVIDERS: dict[str, Callable[[Given], Any]] = {
    "activations": lambda given: wide(given.example.maps),
    "gradients": lambda given: wide(given.gradients),
    "head": _score_of_maps,
    "score": lambda given: given.score,
    "model": _score_of_input,
    "probability": _probability_of_input,
    "run": _maps_and_gradients_of_input,
    "scaled": lambda given: functools.partial(scaled, given.example, given.target),
    "inputs": lambda given: given.example.x,
    "masked": _masked,
    "key": lambda given: given.key,
    "upsample": _upsample,
    "chunk": lambda given: given.chunk,
    "sites": _shares,
    "lift": _multipliers,
    "attention": _attention,
}
"""For each name in `methods.NEEDS`, how it is made; only what the method's parameters name is."""

EVALUATES = frozenset({"head", "model", "probability", "run", "scaled", "sites", "attention"})
"""The needs with which a method evaluates the model or its head, `chunk` points at a time."""


def evaluates_model(method: Method) -> bool:
    """Whether a method evaluates more than the head."""
    return bool((EVALUATES - {"head"}).intersection(needs_of(method)))


def any_nan(x: Any) -> Any:
    """Whether an input has a NaN in one of its floating leaves."""
    found = [jnp.any(jnp.isnan(leaf)) for leaf in jax.tree.leaves(x) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.any(jnp.stack(found)) if found else jnp.bool_(False)
