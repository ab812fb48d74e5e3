"""The model with its feature maps changed and changed back; what is drawn is data, so all laws share one program."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from camjax._example import wide
from camjax._split import Split
from camjax._target import class_leaf


class Change(NamedTuple):
    """The parameters of a changed model: A' = (A forward)[order]; the head reads (A' backward) * read.

    Attributes:
        params: the model's own.
        forward: `[C, C]`, mixes channels before the layer.
        backward: `[C, C]`, mixes them after it.
        order: `[Z]`, the positions' new order, over the flattened grid.
        read: `[Z]`, 0 where the head does not see a position.
        common: `[C]`; what is added to all class scores is sum_k,p common_k A'_k.
    """

    params: Any
    forward: Any
    backward: Any
    order: Any
    read: Any
    common: Any


@functools.lru_cache(maxsize=128)
def changeable(split: Split) -> Split:
    """The split whose parameters are a `Change`; the same for the same split, and so is its compiled program."""

    def features(change: Change, x: Any) -> tuple[Any, Any]:
        value, rest = split.features(change.params, x)
        axes = split.layout(value.shape)
        maps = axes.to_map(value)
        flat = _times(maps.reshape(-1, maps.shape[-1]), change.forward)[change.order]
        return axes.plant(flat.reshape(maps.shape), value), rest

    def head(change: Change, value: Any, rest: Any) -> Any:
        axes = split.layout(value.shape)
        maps = axes.to_map(value)
        flat = maps.reshape(-1, maps.shape[-1])
        seen = jnp.broadcast_to(change.read[:, None].astype(flat.dtype), flat.shape)
        outputs = split.head(
            change.params, axes.plant((_times(flat, change.backward) * seen).reshape(maps.shape), value), rest
        )
        added = _times(flat, change.common[:, None]).sum()
        leaves, tree = jax.tree.flatten(outputs)
        numbered = jax.tree.leaves(split.unbatched(outputs))
        scores = class_leaf(tree.unflatten(numbered))
        return tree.unflatten(
            [
                leaf + added.astype(leaf.dtype) if one is scores else leaf
                for leaf, one in zip(leaves, numbered, strict=True)
            ]
        )

    return dataclasses.replace(
        split,
        features=features,
        head=head,
        bind=lambda change: change._replace(params=split.bound(change.params)),
        source=None,
    )


@functools.lru_cache(maxsize=128)
def gradients(split: Split) -> Any:
    """A function of params, inputs and a direction to the batch's feature maps, and dS/dA there."""

    def of_one(params: Any, x: Any, score: Any) -> tuple[Any, Any]:
        value, rest = split.features(params, jax.tree.map(lambda leaf: leaf[None], x))
        axes = split.layout(value.shape)
        maps = axes.to_map(value)
        gradient = jax.grad(
            lambda maps: score(wide(split.unbatched(split.head(params, axes.plant(maps, value), rest))))
        )
        return wide(maps), wide(gradient(maps))

    return jax.jit(jax.vmap(of_one, in_axes=(None, 0, None)))


def _times(A: Any, matrix: Any) -> Any:
    return jnp.matmul(A, jnp.asarray(matrix, A.dtype), precision="highest")
