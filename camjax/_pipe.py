"""The one pipe: from one example to its maps, mapped over targets and over the batch.

A, rest = features(x);  s = target(head(A, rest));  G = ds/dA;  raw = method(A, G, ...);  heatmap = U(relu(raw)) / max
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from camjax import _postprocess, _validate
from camjax._example import Example, Linearised, wide
from camjax._explanation import Explanation, Status
from camjax._needs import EVALUATES, Given, any_nan
from camjax._split import Split
from camjax._target import Target, logits
from camjax.methods._contract import CoarseMap, Method, describe, needs_of


@dataclasses.dataclass(frozen=True)
class Options:
    """What of `explain`'s options the compiled program depends on."""

    size: str | tuple[int, ...] | None = "input"
    normalize: str | None = "max"
    upsampling: str = "bilinear"
    chunk: int = 128
    expect_logits: bool = True  # then scores that sum to one are worth a flag
    keep: bool = True  # the K axis

    @classmethod
    def checked(cls, size: Any, normalize: Any, upsampling: Any, scores: Any, chunk: Any) -> Options:
        """From the user's arguments; raises ValueError in words for what they cannot be."""
        _postprocess.check(size, normalize, upsampling)
        _validate.check_choice("scores", scores, ("logits", "outputs"))
        if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
            raise ValueError(f"chunk: got {chunk!r}, expected a positive int, how many head evaluations run at once.")
        size = tuple(int(n) for n in size) if isinstance(size, list | tuple) else size
        return cls(size, normalize, upsampling, chunk, expect_logits=scores == "logits")

    def of(self, split: Split, keep: bool) -> Options:
        """For a split, which knows whether a softmax was taken off, and with or without the K axis."""
        return dataclasses.replace(self, expect_logits=self.expect_logits and split.tail is None, keep=keep)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def explain_batch(
    split: Split, method: Method, options: Options, params: Any, x: Any, target: Target, ids: Any, key: Any
) -> Explanation:
    """The explanation of a batch: the pipe for one example under `jax.vmap`."""
    batch = jax.tree.leaves(x)[0].shape[0]
    leaves, tree = jax.tree.flatten(target)
    # Targets shared by the batch are not mapped over it. Then neither is the gradient of a linear head, and the
    # maps of all targets are one matrix product.
    axes = tuple(None if isinstance(leaf.shape[0], int) and leaf.shape[0] == 1 else 0 for leaf in leaves)
    leaves = tuple(leaf if axis == 0 else leaf[0] for leaf, axis in zip(leaves, axes, strict=True))
    if "key" not in needs_of(method):
        ids = key = None
    elif ids is None:
        ids = jnp.arange(batch)
    mapped = (0, axes, None if ids is None else 0)

    def gradients(x: Any, leaves: Any, _: Any) -> Any:
        head = Linearised.at(Example.run(split, params, x))
        targets = tree.unflatten(leaves).resolve(wide(head.outputs))
        return _vmap(lambda one: head.score_and_gradient(one)[1], targets)

    # `chunk` counts evaluations over batch and targets, so that a larger batch needs no more memory. (The batch
    # of an exported program may be a symbol: then it counts evaluations per example.)
    chunk = max(1, options.chunk // batch) if isinstance(batch, int) else options.chunk
    if target.count > chunk and "gradients" in needs_of(method):
        try:
            jax.eval_shape(jax.vmap(gradients, mapped, out_axes=None), x, leaves, ids)
        except ValueError:  # the gradient depends on the example, and vmap refuses not to map it
            pass
        else:  # it does not: it is evaluated once for the whole batch
            chunk = options.chunk

    def one(x: Any, leaves: Any, example_id: Any) -> Explanation:
        own_key = None if example_id is None else jax.random.fold_in(key, example_id)
        return _explain(split, method, options, chunk, params, x, tree.unflatten(leaves), own_key)

    if isinstance(batch, int) and batch > options.chunk and EVALUATES.intersection(needs_of(method)):
        # Even one evaluation per example would be too many at once.
        result = _in_groups(one, axes, options.chunk, x, leaves, ids)
    else:
        result = jax.vmap(one, mapped)(x, leaves, ids)
    return result if options.keep else jax.tree.map(lambda leaf: leaf[:, 0], result)


def _in_groups(one: Any, axes: tuple[int | None, ...], size: int, x: Any, leaves: tuple[Any, ...], ids: Any) -> Any:
    # `one` over the batch, `size` examples at a time; leaves without an axis are shared.
    own = tuple(leaf for leaf, axis in zip(leaves, axes, strict=True) if axis == 0)

    def of(row: tuple[Any, tuple[Any, ...], Any]) -> Any:
        x, mapped, example_id = row
        rest = iter(mapped)
        return one(
            x, tuple(leaf if axis is None else next(rest) for leaf, axis in zip(leaves, axes, strict=True)), example_id
        )

    return jax.lax.map(of, (x, own, ids), batch_size=size)


def _explain(
    split: Split, method: Method, options: Options, chunk: int, params: Any, x: Any, target: Target, key: Any
) -> Explanation:
    # One example, all its targets: at once, or `chunk` after `chunk`.
    example = Example.run(split, params, x)
    head = Linearised.at(example) if "gradients" in needs_of(method) else None
    outputs = wide(head.outputs if head else example.outputs(example.maps))
    target = target.resolve(outputs)
    count = _count(target)
    one = functools.partial(_explain_one, example, head, outputs, method, options, max(1, chunk // count), key)
    return _vmap(one, target) if count <= chunk else jax.lax.map(one, target, batch_size=chunk)


def _explain_one(
    example: Example,
    head: Linearised | None,
    outputs: Any,
    method: Method,
    options: Options,
    chunk: int,
    key: Any,
    target: Target,
) -> Explanation:
    # One example, one target.
    score, gradients = head.score_and_gradient(target) if head else (target(outputs), None)
    given = Given(example, head, target, score, gradients, key, options.upsampling, chunk)
    coarse = _checked(method, method(**{name: given.need(name) for name in needs_of(method)}), example)
    raw, weights = wide(coarse.raw), wide(coarse.weights)
    heatmap = None
    if options.size is not None:
        size = example.input_size() if isinstance(options.size, str) else options.size
        _check_size(size, raw.shape)
        heatmap = _postprocess.to_heatmap(raw, size, options.normalize, options.upsampling)
    flags = {
        Status.EMPTY: ~jnp.any(raw >= jnp.finfo(raw.dtype).tiny),
        Status.ZERO_GRADIENT: ~jnp.any(gradients != 0) if head else jnp.bool_(False),
        Status.PROBABILITIES: _sum_to_one(target, outputs) if options.expect_logits else jnp.bool_(False),
        Status.NOT_APPLICABLE: jnp.asarray(coarse.flag),
    }
    status = sum((flag.astype(jnp.int32) * int(bit) for bit, flag in flags.items()), start=jnp.int32(0))
    finite = jnp.isfinite(score) & jnp.all(jnp.isfinite(raw)) & ~any_nan(example.x)
    status = jnp.where(finite, status, jnp.int32(Status.NON_FINITE))
    status = jnp.where(target.bad(outputs), jnp.int32(Status.BAD_TARGET), status)
    about = jnp.asarray(target.class_index(), jnp.int32)
    return Explanation(heatmap, raw, weights, score, about, status)


def _checked(method: Method, coarse: Any, example: Example) -> CoarseMap:
    grid, channels = example.axes.grid, example.axes.channels
    size = getattr(method, "grid", "layer")
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
        f"method: {describe(method)} returned {got}, expected camjax.CoarseMap(raw, weights) with raw of shape "
        f"{grid} and weights of shape ({channels},) or None."
    )


def _check_size(size: tuple[int, ...], grid: tuple[int, ...]) -> None:
    if len(size) != len(grid):
        raise ValueError(
            f"size: got {size}, but the layer's maps {grid} have {len(grid)} space axes; give one length each."
        )


def _sum_to_one(target: Target, outputs: Any) -> Any:
    # Only asked of targets that are about a class: others need no vector of class scores.
    if isinstance(target.class_index(), int):
        return jnp.bool_(False)
    scores = logits(outputs)
    alike = (scores.shape[0] > 1) & jnp.all(scores >= 0) & (jnp.abs(scores.sum() - 1) < 3e-3)
    return alike & (target.class_index() >= 0)


def _count(target: Target) -> int:
    return jax.tree.leaves(target)[0].shape[0] if jax.tree.leaves(target) else 1


def _vmap(function: Any, target: Target) -> Any:
    return jax.vmap(function, axis_size=_count(target))(target)
