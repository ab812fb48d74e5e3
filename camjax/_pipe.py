"""The one pipe: from one example to its maps, mapped over targets and over the batch.

A, rest = features(x);  s = target(head(A, rest));  G = ds/dA;  raw = method(A, G, ...);  heatmap = U(relu(raw)) / max
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from camjax import _postprocess
from camjax._coarse import Coarse, Coarsely
from camjax._example import input_size
from camjax._explanation import Explanation, Status
from camjax._linear import by_class, one_gradient
from camjax._needs import EVALUATES, any_nan, evaluates_model
from camjax._options import Options
from camjax._portions import evenly, in_groups, in_portions, most, widest
from camjax._split import Split
from camjax._target import Target, logits
from camjax.methods._contract import Method, needs_of


def explain_batch(
    splits: tuple[Split, ...], method: Method, options: Options, params: Any, x: Any, target: Target, ids: Any, key: Any
) -> Explanation:
    """The explanation of a batch by `method` at one layer, or at several with `options.fusion`."""
    bound = [split.bound(params) for split in splits]
    if len(bound) == 1:  # nothing to compare, which would take time in every call
        return _explain_batch(splits, (0,), method, options, (bound[0],), x, target, ids, key)
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
    params = tuple(unique[number] for number in which)
    batch = jax.tree.leaves(x)[0].shape[0]  # that of an exported program is a symbol
    leaves, tree = jax.tree.flatten(target)
    own = [None if _shared(leaf) else leaf for leaf in leaves]
    noisy = options.smoothing is not None and options.smoothing.noise > 0
    if "key" not in needs_of(method) and not noisy:
        ids = key = None
    elif ids is None:
        ids = jnp.arange(batch)
    at_once = most(options.entries, x, widest(splits, target.count)) if isinstance(batch, int) else None
    if at_once is not None and evaluates_model(method):
        options = dataclasses.replace(options, chunk=min(options.chunk, at_once))

    def run(x: Any, own: Any, ids: Any) -> Explanation:
        given = tree.unflatten([leaf if mine is None else mine for leaf, mine in zip(leaves, own, strict=True)])
        return _explain_portion(splits, params, method, options, x, given, ids, key)

    result = in_portions(run, at_once, x, own, ids)
    return result if options.keep else jax.tree.map(lambda leaf: leaf[:, 0], result)


def _explain_portion(
    splits: tuple[Split, ...],
    params: tuple[Any, ...],
    method: Method,
    options: Options,
    x: Any,
    target: Target,
    ids: Any,
    key: Any,
) -> Explanation:
    # The pipe for one example under `jax.vmap`.
    batch = jax.tree.leaves(x)[0].shape[0]
    leaves, tree = jax.tree.flatten(target)
    # Targets shared by the batch are not mapped over it. Then neither is the gradient of a linear head, and the
    # maps of all targets are one matrix product.
    axes = tuple(None if _shared(leaf) else 0 for leaf in leaves)
    leaves = tuple(leaf if axis == 0 else leaf[0] for leaf, axis in zip(leaves, axes, strict=True))

    # `chunk` counts evaluations over batch and targets, so that a larger batch needs no more memory (where the batch is
    # a symbol, evaluations per example). No more examples at once than leave room for all their targets, as what does
    # not depend on the target is evaluated once for all of them.
    at_once = batch
    if isinstance(batch, int) and EVALUATES.intersection(needs_of(method)):
        at_once = evenly(batch, max(1, options.chunk // target.count))
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
        return in_groups(one, axes, at_once, x, leaves, ids)
    return jax.vmap(one, (0, axes, None if ids is None else 0))(x, leaves, ids)


def _shared(leaf: Any) -> bool:
    # Whether a leaf of the target is one for the whole batch.
    return isinstance(leaf.shape[0], int) and leaf.shape[0] == 1


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
