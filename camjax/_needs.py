"""What a method asks for by name, made for one example and one target: the providers of `methods.NEEDS`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from camjax import _postprocess
from camjax._example import Example, Linearised, wide
from camjax._target import Target, logits, pick


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
    """

    example: Example
    head: Linearised | None
    target: Target
    score: Any
    gradients: Any
    key: Any
    upsampling: str
    chunk: int

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


PROVIDERS: dict[str, Callable[[Given], Any]] = {
    "activations": lambda given: wide(given.example.maps),
    "gradients": lambda given: wide(given.gradients),
    "head": _score_of_maps,
    "score": lambda given: given.score,
    "model": _score_of_input,
    "probability": _probability_of_input,
    "run": _maps_and_gradients_of_input,
    "inputs": lambda given: given.example.x,
    "key": lambda given: given.key,
    "upsample": _upsample,
    "chunk": lambda given: given.chunk,
}
"""For each name in `methods.NEEDS`, how it is made; only what the method's parameters name is."""

EVALUATES = frozenset({"head", "model", "probability", "run"})
"""The needs with which a method evaluates the model or its head, `chunk` points at a time."""


def any_nan(x: Any) -> Any:
    """Whether an input has a NaN in one of its floating leaves."""
    found = [jnp.any(jnp.isnan(leaf)) for leaf in jax.tree.leaves(x) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.any(jnp.stack(found)) if found else jnp.bool_(False)
