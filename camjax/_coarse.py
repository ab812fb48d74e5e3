"""One example: from its input to the coarse maps of all its targets, at one layer or fused from several."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from camjax import _postprocess
from camjax._example import Example, Linearised, wide
from camjax._needs import Given
from camjax._split import Split
from camjax._target import Logit, Target, logits, pick
from camjax.fusion import Fusion
from camjax.methods._contract import CoarseMap, Method, describe, needs_of


class Coarse(NamedTuple):
    """What is known of one example and, with a leading axis K, of its targets, before anything becomes a heatmap.

    Attributes:
        raw: `[K, *space]`, the raw maps.
        weights: `[K, C]`, or None where the method has none, or several layers have several.
        score: `[K]`, the scores.
        unread: `[K]`, whether all gradients were asked for and are exactly zero.
        flag: `[K]`, whether the method says that it does not apply.
    """

    raw: Any
    weights: Any
    score: Any
    unread: Any
    flag: Any


class Start(NamedTuple):
    """One example after its one pass through the features: the cuts, the linearised heads or None, the outputs."""

    examples: Sequence[Example]
    heads: Sequence[Linearised | None]
    outputs: Any


@dataclasses.dataclass(frozen=True)
class Coarsely:
    """The method at one layer or several, for one example at a time.

    Attributes:
        splits: the model, cut at each layer.
        params: for each of them, its parameters.
        method: the method.
        fusion: how the maps of several layers become one; None for one layer.
        upsampling: how maps are upsampled.
        chunk: how many evaluations of a head or model may run at once for this example.
        by_class: whether the maps of all classes are had first, and those of the targets picked from them.
    """

    splits: tuple[Split, ...]
    params: tuple[Any, ...]
    method: Method
    fusion: Fusion | None
    upsampling: str
    chunk: int
    by_class: bool = False

    def start(self, x: Any) -> Start:
        """The example cut at each layer, and its outputs. What the cuts share, the compiler computes once."""
        examples = [Example.run(split, params, x) for split, params in zip(self.splits, self.params, strict=True)]
        if "gradients" in needs_of(self.method):
            heads = [Linearised.at(example) for example in examples]
            return Start(examples, heads, wide(heads[0].outputs))
        return Start(examples, [None] * len(examples), wide(examples[0].outputs(examples[0].maps)))

    def maps(self, start: Start, target: Target, key: Any) -> Coarse:
        """The maps of all targets, at once or `chunk` after `chunk`."""
        if self.by_class and isinstance(target, Logit):
            every = self._each(start, Logit(jnp.arange(logits(start.outputs).shape[0])), key)
            picked = jax.tree.map(lambda leaf: _rows(leaf, target.index), every)
            return picked._replace(score=pick(every.score, target.index))
        return self._each(start, target, key)

    def _each(self, start: Start, target: Target, key: Any) -> Coarse:
        count = jax.tree.leaves(target)[0].shape[0] if jax.tree.leaves(target) else 1
        one = functools.partial(self._one, start, max(1, self.chunk // count), key)
        if count <= self.chunk:
            return jax.vmap(one, axis_size=count)(target)
        return jax.lax.map(one, target, batch_size=self.chunk)

    def _one(self, start: Start, chunk: int, key: Any, target: Target) -> Coarse:
        found: list[Coarse] = []
        for example, head in zip(start.examples, start.heads, strict=True):
            score, gradients = head.score_and_gradient(target) if head else (target(start.outputs), None)
            name = describe(self.method)
            given = Given(example, head, target, score, gradients, key, self.upsampling, chunk, name)
            coarse = self._checked(self.method(**{name: given.need(name) for name in needs_of(self.method)}), example)
            unread = ~jnp.any(gradients != 0) if head else jnp.bool_(False)
            found.append(Coarse(wide(coarse.raw), wide(coarse.weights), score, unread, jnp.asarray(coarse.flag)))
        if self.fusion is None:
            return found[0]
        grid = max((coarse.raw.shape for coarse in found), key=math.prod)
        raw = self.fusion(
            [coarse.raw for coarse in found], lambda map: _postprocess.upsample(map, grid, self.upsampling)
        )
        if jnp.shape(raw) != grid:
            raise ValueError(
                f"fusion: {describe(self.fusion)} returned a map of shape {jnp.shape(raw)}, expected that of the "
                f"largest layer, {grid}; its second argument brings a map there."
            )
        unread = jnp.all(jnp.stack([coarse.unread for coarse in found]))
        return Coarse(wide(raw), None, found[0].score, unread, jnp.any(jnp.stack([coarse.flag for coarse in found])))

    def _checked(self, coarse: Any, example: Example) -> CoarseMap:
        grid, channels = example.axes.grid, example.axes.channels
        size = getattr(self.method, "grid", "layer")
        if size == "input":
            grid = example.input_size()
        if not isinstance(coarse, CoarseMap):
            got = type(coarse).__name__
        elif jnp.shape(coarse.raw) != grid and not (size == "own" and jnp.ndim(coarse.raw) == len(grid)):
            got = f"a raw map of shape {jnp.shape(coarse.raw)}"
        elif coarse.weights is not None and jnp.shape(coarse.weights) != (channels,):
            got = f"weights of shape {jnp.shape(coarse.weights)}"
        else:
            return coarse
        raise ValueError(
            f"method: {describe(self.method)} returned {got}, expected camjax.CoarseMap(raw, weights) with raw of "
            f"shape {grid} and weights of shape ({channels},) or None."
        )


def _rows(leaf: Any, index: Any) -> Any:
    # Those of some classes; zeros where there is no such class, as the gradient of no score.
    return leaf.at[index].get(mode="fill", fill_value=0, wrap_negative_indices=False)
