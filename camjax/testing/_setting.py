"""What all laws share: a model cut at a layer, explained for scores that a law chooses, and compared in words."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax._axes import Axes
from camjax._example import class_scores
from camjax._explain import explain
from camjax._explanation import Explanation
from camjax._layers import split
from camjax._model import Model
from camjax._split import Split
from camjax._target import logits
from camjax.methods import GradCAM, Method


class Setting:
    """A model, a batch, a layer and a method: what a law is about.

    Args:
        model: any `camjax.Model`.
        x: a batch, its axis first.
        layer: as for `camjax.explain`.
        method: as for `camjax.explain`.
        seed: of the scores, rescalings and permutations that the laws draw.
        rtol: the tolerated difference, relative to the larger map's largest value; None: 1e-9 for models
            in float64 and 2e-4 for others.
    """

    def __init__(
        self,
        model: Model,
        x: Any,
        *,
        layer: str | Split | None = None,
        method: Method | None = None,
        seed: int = 0,
        rtol: float | None = None,
    ) -> None:
        self.model, self.x, self.rtol = model, jax.tree.map(jnp.asarray, x), rtol
        self.method: Method = GradCAM() if method is None else method
        self.split = split(model, x, layer)
        self.random = np.random.default_rng(seed)
        self.key = jax.random.key(seed)

    def explain(self, target: Any, cut: Split | None = None, **options: Any) -> Explanation:
        """Explains without raising for values: a law is about maps, empty and zero ones included."""
        options = {"size": None, "strict": False, "key": self.key} | options
        model, x = options.pop("model", self.model), options.pop("x", self.x)
        return explain(model, x, target, layer=cut or self.split, method=self.method, **options)

    def raw(self, target: Any, cut: Split | None = None, **options: Any) -> np.ndarray:
        """The raw maps, `[B, *space]`."""
        return np.asarray(self.explain(target, cut, **options).raw)

    def direction(self) -> np.ndarray:
        """A random combination of the class scores."""
        scores = class_scores(self.split, self.model.params, self.x)
        return self.random.normal(size=scores.shape).astype(scores.dtype)

    def changed(self, forward: Callable[[Any], Any], backward: Callable[[Any], Any]) -> Split:
        """The split whose feature maps are `forward` of the old ones; its head undoes that by `backward` first."""

        def features(params: Any, x: Any) -> tuple[Any, Any]:
            value, rest = self.split.features(params, x)
            return self.axes.plant(forward(self.axes.to_map(value)), value), rest

        def head(params: Any, value: Any, rest: Any) -> Any:
            return self.split.head(params, self.axes.plant(backward(self.axes.to_map(value)), value), rest)

        return dataclasses.replace(self.split, features=features, head=head)

    @functools.cached_property
    def axes(self) -> Axes:
        """The layout of the layer's value."""
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), self.x)
        return self.split.layout(jax.eval_shape(self.split.features, self.model.params, one)[0].shape)

    def same(self, law: str, got: Any, want: Any, hint: str) -> None:
        """Raises AssertionError, with the worst position, unless two maps agree."""
        got, want = np.asarray(got), np.asarray(want)
        rtol = self.rtol if self.rtol is not None else (1e-9 if got.dtype == np.float64 else 2e-4)
        scale = max(np.abs(got).max(initial=0), np.abs(want).max(initial=0))
        off = np.abs(got - want)
        if not (off <= rtol * scale).all():  # also when it is NaN
            where = np.unravel_index(np.nanargmax(np.where(np.isnan(off), np.inf, off)), off.shape)
            name = getattr(self.method, "__name__", type(self.method).__name__)
            raise AssertionError(
                f"{law}: {name} at layer {self.split.name or 'of the Split'}: {hint}. Furthest apart at "
                f"{tuple(int(i) for i in where)} (example, position): {got[where]:.6g} against {want[where]:.6g}; the "
                f"largest value is {scale:.3g}, the tolerance {rtol:g} of it."
            )


def score(direction: np.ndarray) -> Callable[[Any], Any]:
    """The target that is a given combination of the class scores."""
    return lambda outputs: jnp.vdot(jnp.asarray(direction, logits(outputs).dtype), logits(outputs))
