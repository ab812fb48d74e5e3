"""What all laws share: a model cut at a layer, explained for scores that a law chooses, and compared in words."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax._axes import Axes
from camjax._example import class_scores
from camjax._explain import explain
from camjax._explanation import Explanation, Status
from camjax._layers import split
from camjax._model import Model
from camjax._split import Split
from camjax.methods import GradCAM, Method
from camjax.methods._contract import describe, needs_of
from camjax.testing._change import Change, changeable, gradients
from camjax.testing._scores import AsGiven, Score

WHOLE = frozenset({"sites", "attention", "scaled"})
"""Needs that are found in the trace of the whole model: what is planted at one layer does not reach them."""


class NotApplicable(ValueError):  # noqa: N818 - it is about a law, and not always an error
    """A law says nothing about a model or a method."""


class Setting:
    """A model, a batch, a layer and a method: what a law is about.

    Args:
        model: any `camjax.Model`.
        x: a batch, its axis first.
        layer: as for `camjax.explain`. To check several laws cut the model once, with `camjax.split`: then they share
            compiled programs.
        method: as for `camjax.explain`.
        seed: of the scores, rescalings and permutations that the laws draw.
        rtol: the tolerated difference, relative to the larger map's largest value; None: 1e-9 for models
            in float64 and 2e-4 for others.
        first: the number of the first example of `x`, for messages.
        only: the class that scores are about; None: combinations of all.
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
        first: int = 0,
        only: int | None = None,
    ) -> None:
        self.model, self.x = model, jax.tree.map(jnp.asarray, x)
        self.seed, self.rtol, self.first, self.only = seed, rtol, first, only
        self.method: Method = GradCAM() if method is None else method
        self.split = split(model, x, layer)
        self.random = np.random.default_rng(seed)
        self.key = jax.random.key(seed)
        self.batch = jax.tree.leaves(self.x)[0].shape[0]
        self.of_class = "probability" in needs_of(self.method)
        self.plantable = not WHOLE.intersection(needs_of(self.method))

    def but(self, **changes: Any) -> Setting:
        """The same setting with other arguments, drawing anew."""
        same = {name: getattr(self, name) for name in ("model", "x", "method", "seed", "rtol", "first", "only")}
        return Setting(**({**same, "layer": self.split} | changes))

    def examples(self) -> Iterator[Setting]:
        """The setting with one example after the other, if there are several."""
        for i in range(self.batch) if self.batch > 1 else ():
            yield self.but(x=jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], self.x), first=self.first + i)

    def classes(self) -> Iterator[Setting]:
        """The setting with one class after the other, if there are several."""
        count = self.scores.shape[0]
        for only in range(count) if count > 1 and self.only is None else ():
            yield self.but(only=only)

    def explain(self, target: Any, **options: Any) -> Explanation:
        """Explains as a user would, without raising for values: a law is about maps, empty and zero ones included."""
        options = {"size": None, "strict": False, "key": self.key, "method": self.method} | options
        return explain(options.pop("model", self.model), options.pop("x", self.x), target, layer=self.split, **options)

    def at(
        self, direction: np.ndarray, offset: float = 0.0, log: float = 0.0, x: Any = None, **change: Any
    ) -> Explanation:
        """Explains direction . y + offset - log * logsumexp(y), of a model that is changed as `Change` says.

        Raises:
            NotApplicable: when a change is asked for that the method, which reads the whole model's trace, cannot see;
                when the method says itself that it does not apply.
        """
        dtype = np.dtype(direction.dtype)
        target = Score(
            direction[None, None],
            np.full((1, 1), offset, dtype),
            np.full((1, 1), log, dtype),
            np.full((1, 1), np.abs(direction).argmax(), np.int32),
            self.of_class,
        )
        # What retargets would explain another score than the law's.
        method = AsGiven(self.method) if hasattr(self.method, "retarget") else self.method
        model, cut = self.model, self.split
        if self.plantable:
            one, places = np.eye(self.axes.channels, dtype=dtype), int(np.prod(self.axes.grid))
            zeros = np.zeros(len(one), dtype)
            same = Change(model.params, one, one, np.arange(places), np.ones(places, dtype), zeros)
            changed = same._replace(**{name: np.asarray(value) for name, value in change.items()})
            model, cut = Model(model.apply, changed), changeable(self.split)
        elif change:
            raise NotApplicable(
                f"method: {describe(self.method)} reads the trace of the whole model, so a law that changes the "
                "feature maps of one layer says nothing about it; leave this law out."
            )
        x = self.x if x is None else x
        got = explain(model, x, target, layer=cut, method=method, size=None, strict=False, key=self.key)
        if (np.asarray(got.status) & int(Status.NOT_APPLICABLE)).any():
            raise NotApplicable(f"method: {describe(self.method)} does not apply to this model: {self.refusal}")
        return got

    def raw(self, direction: np.ndarray, offset: float = 0.0, **options: Any) -> np.ndarray:
        """The raw maps of `at`, `[B, *space]`."""
        return np.asarray(self.at(direction, offset, **options).raw)

    def direction(self) -> np.ndarray:
        """A random combination of the class scores; of one, where a method compares probabilities or `only` says so."""
        drawn = self.random.normal(size=self.scores.shape)
        index = self.random.integers(drawn.size)
        if self.of_class or self.only is not None:
            index = index if self.only is None else self.only
            drawn = np.where(np.arange(drawn.size) == index, 1 + np.abs(drawn), 0)
        return drawn.astype(self.scores.dtype)

    def gradients(self, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The feature maps A and dS/dA, `[B, *space, C]`, without any method."""
        zero = np.zeros((), direction.dtype)
        score = Score(direction, zero, zero, np.int32(0), False)
        A, G = gradients(self.split)(self.split.bound(self.model.params), self.x, score)
        return np.asarray(A), np.asarray(G)

    @functools.cached_property
    def scores(self) -> jax.ShapeDtypeStruct:
        """The shape and dtype of one example's class scores."""
        return class_scores(self.split, self.split.bound(self.model.params), self.x)

    @functools.cached_property
    def axes(self) -> Axes:
        """The layout of the layer's value."""
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype), self.x)
        params = self.split.bound(self.model.params)
        return self.split.layout(jax.eval_shape(self.split.features, params, one)[0].shape)

    @property
    def refusal(self) -> str:
        """Why the method does not apply, in its own words."""
        return getattr(self.method, "refusal", "")

    def same(self, got: Any, want: Any, hint: str, axes: str = "example, position") -> None:
        """Raises `Counterexample`, with the worst position, unless two arrays agree."""
        got, want = np.asarray(got), np.asarray(want)
        rtol = self.tolerance(got.dtype)
        scale = max(np.abs(got).max(initial=0), np.abs(want).max(initial=0))
        off = np.abs(got - want)
        if (off <= rtol * scale).all():  # not when it is NaN
            return
        where = np.unravel_index(np.nanargmax(np.where(np.isnan(off), np.inf, off)), off.shape)
        shown = (int(where[0]) + self.first, *(int(i) for i in where[1:]))
        raise Counterexample(
            self,
            f"{hint}. Furthest apart at {shown} ({axes}): {got[where]:.6g} against {want[where]:.6g}; the largest "
            f"value is {scale:.3g}, the tolerance {rtol:g} of it.",
        )

    def tolerance(self, dtype: Any) -> float:
        """The tolerated relative difference of arrays of a dtype."""
        return self.rtol if self.rtol is not None else (1e-9 if dtype == np.float64 else 2e-4)

    def unless(self, got: Any, want: Any, asks: str) -> None:
        """Raises `NotApplicable` unless the model has the structure that a law is about: `got` equals `want`."""
        got, want = np.asarray(got), np.asarray(want)
        scale = max(np.abs(got).max(initial=0), np.abs(want).max(initial=0))
        if not np.allclose(got, want, rtol=0, atol=100 * self.tolerance(got.dtype) * scale):
            raise NotApplicable(
                f"model: the law is about {asks}; this one differs by {np.abs(got - want).max():.3g} at values up to "
                f"{scale:.3g}. Leave the law out, or name another layer."
            )

    def __str__(self) -> str:
        method = repr(self.method) if dataclasses.is_dataclass(self.method) else describe(self.method)
        which = f"x[{self.first}:{self.first + self.batch}]"
        scores = "" if self.only is None else f", for scores of class {self.only}"
        layer = f"layer {self.split.name}" if self.split.name else "the layer of the Split"
        return f"{method} on model {describe(self.model.apply)} at {layer}, with {which}, seed {self.seed}{scores}"


class Counterexample(AssertionError):  # noqa: N818 - it is named for what was found
    """A law that does not hold: for which setting, and where."""

    def __init__(self, setting: Setting, text: str) -> None:
        super().__init__(f"{setting}: {text}")
        self.setting = setting
