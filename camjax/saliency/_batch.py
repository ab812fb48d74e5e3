"""One example and all its targets, mapped over the batch, in one compiled program."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from camjax._example import Linearised, wide
from camjax._explanation import Status
from camjax._needs import any_nan
from camjax._pipe import _sum_to_one
from camjax._portions import evenly, in_groups
from camjax._split import Split
from camjax._target import Target
from camjax.saliency._contract import Attribution, Saliency
from camjax.saliency._moments import moments


class Options(NamedTuple):
    """What else the compiled program depends on."""

    chunk: int  # how many gradients are computed at once, over batch, points and targets
    expect_logits: bool  # then scores that sum to one are worth a flag
    keep: bool  # the K axis


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def attribute_batch(
    split: Split, method: Saliency, options: Options, params: Any, x: Any, target: Target, ids: Any, key: Any
) -> Attribution:
    """The attributions of a batch by `method`; `split` is the whole model, with the method's rule in it."""
    batch = jax.tree.leaves(x)[0].shape[0]
    leaves, tree = jax.tree.flatten(target)
    axes = tuple(None if leaf.shape[0] == 1 else 0 for leaf in leaves)  # None: shared by the batch
    leaves = tuple(leaf if axis == 0 else leaf[0] for leaf, axis in zip(leaves, axes, strict=True))
    if not method.random:
        ids = key = None
    elif ids is None:
        ids = jnp.arange(batch)

    def one(x: Any, leaves: Any, example_id: Any) -> Attribution:
        own_key = None if example_id is None else jax.random.fold_in(key, example_id)
        each = max(1, options.chunk // batch)
        return _example(split, method, options, each, params, x, tree.unflatten(leaves), own_key)

    if batch > options.chunk:  # even one each would be too many at once
        result = in_groups(one, axes, evenly(batch, options.chunk), x, leaves, ids)
    else:
        result = jax.vmap(one, (0, axes, None if ids is None else 0))(x, leaves, ids)
    return result if options.keep else jax.tree.map(lambda leaf: leaf[:, 0], result)


def _example(
    split: Split, method: Saliency, options: Options, chunk: int, params: Any, x: Any, target: Target, key: Any
) -> Attribution:
    like = floating(x)
    start = wide(like)

    def outputs(point: Any) -> Any:
        return split.outputs(params, jax.tree.map(_either, point, x, is_leaf=_is_none))

    def native(point: Any) -> Any:
        return jax.tree.map(lambda p, leaf: p.astype(leaf.dtype), point, like)

    clean = wide(outputs(like))
    target = target.resolve(clean)
    count = jax.tree.leaves(target)[0].shape[0] if jax.tree.leaves(target) else 1

    def gradients(i: Any) -> Any:  # [K, ...]: one forward pass, whatever K
        there = Linearised.of(outputs, native(method.point(start, key, i)))

        def one(target: Target) -> Any:
            return wide(there.score_and_gradient(target)[1])

        return jax.vmap(one, axis_size=count)(target) if count <= chunk else jax.lax.map(one, target, batch_size=chunk)

    mean, variance = moments(gradients, method.points, max(1, chunk // count), method.spread)

    def finished(target: Target, mean: Any, variance: Any) -> Attribution:
        score = target(clean)
        values = method.values(start, mean, variance)
        _check_values(method, values, start)
        # A rule stops what is negative, so that nothing may be left where the score does depend on the input.
        nothing = Status.ZERO_GRADIENT if method.rule is None else Status.EMPTY
        flags = {
            nothing: _all(lambda leaf: leaf == 0, (mean, variance)),
            Status.PROBABILITIES: _sum_to_one(target, clean) if options.expect_logits else jnp.bool_(False),
            Status.INCOMPLETE: method.incomplete(
                start, values, score, lambda point: target(wide(outputs(native(point))))
            ),
        }
        status = sum((flag.astype(jnp.int32) * int(bit) for bit, flag in flags.items()), start=jnp.int32(0))
        finite = jnp.isfinite(score) & _all(jnp.isfinite, values) & ~any_nan(x)
        status = jnp.where(finite, status, jnp.int32(Status.NON_FINITE))
        status = jnp.where(target.bad(clean), jnp.int32(Status.BAD_TARGET), status)
        return Attribution(values, score, jnp.asarray(target.class_index(), jnp.int32), status)

    return jax.vmap(finished, axis_size=count)(target, mean, variance)


def floating(x: Any) -> Any:
    """`x` with None in the place of leaves that have no gradient."""
    return jax.tree.map(lambda leaf: leaf if jnp.issubdtype(leaf.dtype, jnp.floating) else None, x)


def _either(point: Any, leaf: Any) -> Any:
    return leaf if point is None else point


def _is_none(leaf: Any) -> bool:
    return leaf is None


def _all(holds: Any, tree: Any) -> Any:
    return jnp.all(jnp.stack([jnp.all(holds(leaf)) for leaf in jax.tree.leaves(tree)]))


def _check_values(method: Saliency, values: Any, start: Any) -> None:
    got, want = (jax.tree.map(jnp.shape, tree) for tree in (values, start))
    if got != want:
        raise ValueError(
            f"method: {type(method).__name__}.values returned arrays of shapes {got} for one example of shapes {want}; "
            "expected the same."
        )
