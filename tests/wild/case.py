"""What a model of this folder brings along: its default layer, and the same network split by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import camjax

FLOAT64 = {np.dtype("float32"): np.float64, jnp.dtype(jnp.bfloat16): np.float64}


@dataclasses.dataclass(frozen=True)
class Case:
    """A model and an independent description of it.

    Attributes:
        name: what is special about it.
        model: the model as a user would hand it over, with everything that makes it hard to trace.
        x: a batch of inputs.
        layer: the default layer that must be found.
        features, head: the same network as two plain functions (params, x) -> A and (params, A, x) -> logits,
            written without scopes, nested calls, loops or custom derivatives.
        to_map: from `A` to `[B, *space, C]`.
        pick: from the model's outputs to the logits.
        tolerance: the largest difference allowed, relative to the largest value of the map.
    """

    name: str
    model: camjax.Model
    x: Any
    layer: str
    features: Callable[[Any, Any], jax.Array]
    head: Callable[[Any, jax.Array, Any], jax.Array]
    to_map: Callable[[jax.Array], jax.Array] = lambda A: A
    pick: Callable[[Any], jax.Array] = lambda outputs: outputs
    tolerance: float = 1e-5

    def __str__(self) -> str:
        return self.name


def grad_cam(case: Case, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grad-CAM by hand in float64: channel weights, coarse map before ReLU, and score, of each example."""
    with jax.enable_x64(True):
        params, x = jax.tree.map(_wide, (case.model.params, case.x))

        @jax.jit
        def by_hand(params: Any, x: Any) -> tuple[jax.Array, ...]:
            A = case.features(params, x)

            def score(A: jax.Array) -> tuple[jax.Array, jax.Array]:
                scores = case.head(params, A, x)[jnp.arange(len(target)), target]
                return scores.sum(), scores

            (_, scores), G = jax.value_and_grad(score, has_aux=True)(A)
            A, G = case.to_map(A), case.to_map(G)
            weights = G.mean(axis=tuple(range(1, G.ndim - 1)))
            return weights, jnp.einsum("bc,b...c->b...", weights, A), scores

        weights, raw, scores = map(np.asarray, by_hand(params, x))
        return weights, raw, scores


def _wide(value: Any) -> Any:
    dtype = FLOAT64.get(np.asarray(value).dtype)
    return value if dtype is None else jnp.asarray(np.asarray(value).astype(np.float32), dtype)


def entry(tree: Any, index: int) -> Any:
    """One entry of each stacked leaf."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


class Weights:
    """Seeded random weights, scaled so that values keep their size from layer to layer."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def __call__(self, *shape: int) -> np.ndarray:
        fan_in = int(np.prod(shape[:-1])) if len(shape) > 1 else 4
        return (self._rng.normal(size=shape) / np.sqrt(fan_in)).astype(np.float32)


def picture(*shape: int, seed: int = 7) -> np.ndarray:
    """A batch of smooth random inputs."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
