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
from camjax._coarse import Coarse, Coarsely
from camjax._example import input_size
from camjax._explanation import Explanation, Status
from camjax._linear import by_class, one_gradient
from camjax._needs import EVALUATES, any_nan
from camjax._smoothing import Smoothing
from camjax._split import Split
from camjax._target import Target, logits
from camjax.fusion import Fusion
from camjax.methods._contract import Method, needs_of


@dataclasses.dataclass(frozen=True)
class Options:
    """What of `explain`'s options the compiled program depends on."""

    size: str | tuple[int, ...] | None = "input"
    normalize: str | None = "max"
    upsampling: str = "bilinear"
    chunk: int = 128
    fusion: Fusion | None = None
    smoothing: Smoothing | None = None
    expect_logits: bool = True  # then scores that sum to one are worth a flag
    keep: bool = True  # the K axis

    @classmethod
    def checked(
        cls, method: Method, size: Any, normalize: Any, upsampling: Any, scores: Any, chunk: Any, smoothing: Any
    ) -> Options:
        """From the user's arguments; raises ValueError in words for what they cannot be."""
        _postprocess.check(size, normalize, upsampling)
        _validate.check_choice("scores", scores, ("logits", "outputs"))
        if chunk is None:  # a head is a small part of a model
            chunk = 32 if (EVALUATES - {"head"}).intersection(needs_of(method)) else 128
        if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
            raise ValueError(
                f"chunk: got {chunk!r}, expected a positive int, how many evaluations run at once, or None."
            )
        if smoothing is not None and not isinstance(smoothing, Smoothing):
            raise ValueError(
                f"smoothing: got {smoothing!r}, expected None or a camjax.Smoothing such as Smoothing(flip=True)."
            )
        size = tuple(int(n) for n in size) if isinstance(size, list | tuple) else size
        return cls(size, normalize, upsampling, chunk, smoothing=smoothing, expect_logits=scores == "logits")

    def of(self, splits: tuple[Split, ...], fusion: Fusion | None, keep: bool) -> Options:
        """For splits, which know whether a softmax was taken off, and with or without the K axis."""
        expect = self.expect_logits and splits[0].tail is None
        return dataclasses.replace(self, fusion=fusion, expect_logits=expect, keep=keep)


def explain_batch(
    splits: tuple[Split, ...], method: Method, options: Options, params: Any, x: Any, target: Target, ids: Any, key: Any
) -> Explanation:
    """The explanation of a batch by `method` at one layer, or at several with `options.fusion`."""
    bound = [split.bound(params) for split in splits]
    # One argument for what is one array: only then is the pass through it one pass.
    alike = [tuple(map(id, jax.tree.leaves(tree))) for tree in bound]
    distinct = list(dict.fromkeys(alike))
    which = tuple(map(distinct.index, alike))
    unique = tuple(bound[alike.index(leaves)] for leaves in distinct)
    return _explain_batch(splits, which, method, options, unique, x, target, ids, key)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _explain_batch(
    splits: tuple[Split, ...],
    which: tuple[int, ...],
    method: Method,
    options: Options,
    unique: tuple[Any, ...],
    x: Any,
    target: Target,
    ids: Any,
    key: Any,
) -> Explanation:
    # The pipe for one example under `jax.vmap`.
    params = tuple(unique[number] for number in which)
    batch = jax.tree.leaves(x)[0].shape[0]
    leaves, tree = jax.tree.flatten(target)
    # Targets shared by the batch are not mapped over it. Then neither is the gradient of a linear head, and the
    # maps of all targets are one matrix product.
    axes = tuple(None if isinstance(leaf.shape[0], int) and leaf.shape[0] == 1 else 0 for leaf in leaves)
    leaves = tuple(leaf if axis == 0 else leaf[0] for leaf, axis in zip(leaves, axes, strict=True))
    noisy = options.smoothing is not None and options.smoothing.noise > 0
    if "key" not in needs_of(method) and not noisy:
        ids = key = None
    elif ids is None:
        ids = jnp.arange(batch)
    mapped = (0, axes, None if ids is None else 0)

    # `chunk` counts evaluations over batch and targets, so that a larger batch needs no more memory. (The batch
    # of an exported program may be a symbol: then it counts evaluations per example.) No more examples at once than
    # leave room for all their targets, as what does not depend on the target is evaluated once for all of them.
    at_once = batch
    if isinstance(batch, int) and EVALUATES.intersection(needs_of(method)):
        at_once = _evenly(batch, max(1, options.chunk // target.count))
    chunk = max(1, options.chunk // at_once) if isinstance(at_once, int) else options.chunk
    every = False
    if needs_of(method) == ("activations", "gradients"):
        every = by_class(splits[0], params[0], x, target)
        if target.count > chunk and (
            every or one_gradient(splits[0], params[0], x, leaves, axes, tree.unflatten, target.count)
        ):
            chunk = options.chunk  # the gradients are evaluated once for the whole batch
    coarsely = Coarsely(splits, params, method, options.fusion, options.upsampling, chunk, every)

    def one(x: Any, leaves: Any, example_id: Any) -> Explanation:
        own_key = None if example_id is None else jax.random.fold_in(key, example_id)
        return _explain(coarsely, options, x, tree.unflatten(leaves), own_key)

    if isinstance(at_once, int) and at_once < batch:
        result = _in_groups(one, axes, at_once, x, leaves, ids)
    else:
        result = jax.vmap(one, mapped)(x, leaves, ids)
    return result if options.keep else jax.tree.map(lambda leaf: leaf[:, 0], result)


def _evenly(batch: int, most: int) -> int:
    # The largest group that divides the batch, if it is not too small: a remainder would be compiled, too.
    even = max(size for size in range(1, min(batch, most) + 1) if batch % size == 0)
    return even if 2 * even >= min(batch, most) else most


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


def _explain(coarsely: Coarsely, options: Options, x: Any, target: Target, key: Any) -> Explanation:
    # One example, all its targets.
    start = coarsely.start(x)
    target = target.resolve(start.outputs)
    coarse = coarsely.maps(start, target, key)
    axes = start.examples[0].axes
    if options.smoothing is not None:
        coarse = coarse._replace(
            raw=options.smoothing.average(
                lambda x, key: coarsely.maps(coarsely.start(x), target, key).raw, x, axes, key, coarse.raw
            )
        )
    size = options.size
    if isinstance(size, str):
        size = input_size(axes, x)
    if size is not None and len(size) != coarse.raw.ndim - 1:
        grid = coarse.raw.shape[1:]
        raise ValueError(
            f"size: got {size}, but the layer's maps {grid} have {len(grid)} space axes; give one length each."
        )
    finish = functools.partial(_finish, options, size, start.outputs, any_nan(x))
    return jax.vmap(finish, axis_size=coarse.score.shape[0])(coarse, target)


def _finish(options: Options, size: Any, outputs: Any, dirty: Any, coarse: Coarse, target: Target) -> Explanation:
    # One target: its heatmap, and what is to be known about it.
    raw, score = coarse.raw, coarse.score
    heatmap = None
    if size is not None:
        heatmap = _postprocess.to_heatmap(raw, size, options.normalize, options.upsampling)
    flags = {
        Status.EMPTY: ~jnp.any(raw >= jnp.finfo(raw.dtype).tiny),
        Status.ZERO_GRADIENT: coarse.unread,
        Status.PROBABILITIES: _sum_to_one(target, outputs) if options.expect_logits else jnp.bool_(False),
        Status.NOT_APPLICABLE: coarse.flag,
    }
    status = sum((flag.astype(jnp.int32) * int(bit) for bit, flag in flags.items()), start=jnp.int32(0))
    finite = jnp.isfinite(score) & jnp.all(jnp.isfinite(raw)) & ~dirty
    status = jnp.where(finite, status, jnp.int32(Status.NON_FINITE))
    status = jnp.where(target.bad(outputs), jnp.int32(Status.BAD_TARGET), status)
    return Explanation(heatmap, raw, coarse.weights, score, jnp.asarray(target.class_index(), jnp.int32), status)


def _sum_to_one(target: Target, outputs: Any) -> Any:
    # Only asked of targets that are about a class: others need no vector of class scores.
    if isinstance(target.class_index(), int):
        return jnp.bool_(False)
    scores = logits(outputs)
    alike = (scores.shape[0] > 1) & jnp.all(scores >= 0) & (jnp.abs(scores.sum() - 1) < 3e-3)
    return alike & (target.class_index() >= 0)
