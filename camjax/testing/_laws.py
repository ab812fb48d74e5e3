"""The laws of class-activation maps that depend on the method, each a function that fails in words.

Each takes a model, a batch, and a method, and raises AssertionError where the law does not hold. `LAWS` says
which law is claimed for which method; the claims, and that no other holds in general, are tested.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax._model import Model
from camjax.testing._setting import Setting, score


def linear(model: Model, x: Any, **setting: Any) -> None:
    """raw(a S + b T) = a raw(S) + b raw(T): linear in the score."""
    s = Setting(model, x, **setting)
    u, v = s.direction(), s.direction()
    want = 2 * s.raw(score(u)) - 0.5 * s.raw(score(v))
    s.same("linear", s.raw(score(2 * u - 0.5 * v)), want, "raw(2 S - T/2) differs from 2 raw(S) - raw(T)/2")


def shift(model: Model, x: Any, **setting: Any) -> None:
    """raw(S + constant) = raw(S)."""
    s = Setting(model, x, **setting)
    u = s.direction()
    s.same("shift", s.raw(lambda out: score(u)(out) + 3), s.raw(score(u)), "adding 3 to the score moves the map")


def homogeneous(model: Model, x: Any, **setting: Any) -> None:
    """raw(a S) = a raw(S) for a > 0."""
    s = Setting(model, x, **setting)
    u = s.direction()
    s.same("homogeneous", s.raw(score(4 * u)), 4 * s.raw(score(u)), "raw(4 S) differs from 4 raw(S)")


def odd(model: Model, x: Any, **setting: Any) -> None:
    """raw(-S) = -raw(S): what speaks against a target is its map with the sign turned."""
    s = Setting(model, x, **setting)
    u = s.direction()
    s.same("odd", s.raw(score(-u)), -s.raw(score(u)), "raw(-S) differs from -raw(S)")


def gauge(model: Model, x: Any, **setting: Any) -> None:
    """A positive rescaling of each channel, which the head undoes, leaves the map."""
    s = Setting(model, x, **setting)
    u, factors = s.direction(), s.random.uniform(0.25, 4, s.axes.channels)
    cut = s.changed(lambda A: A * _as(factors, A), lambda A: A / _as(factors, A))
    s.same("gauge", s.raw(score(u), cut), s.raw(score(u)), "rescaling channels, undone by the head, moves the map")


def mix(model: Model, x: Any, **setting: Any) -> None:
    """Any invertible mix of the channels, which the head undoes, leaves the map."""
    s = Setting(model, x, **setting)
    u = s.direction()
    # Orthogonal times a mild rescaling: far from the identity, and well conditioned.
    turned = np.linalg.qr(s.random.normal(size=(s.axes.channels,) * 2))[0]
    matrix = turned * s.random.uniform(0.5, 2, s.axes.channels)
    inverse = np.linalg.inv(matrix)
    cut = s.changed(lambda A: _product(A, matrix), lambda A: _product(A, inverse))
    s.same("mix", s.raw(score(u), cut), s.raw(score(u)), "mixing channels, undone by the head, moves the map")


def permutation(model: Model, x: Any, **setting: Any) -> None:
    """The order of the channels does not matter."""
    s = Setting(model, x, **setting)
    u, order = s.direction(), s.random.permutation(s.axes.channels)
    cut = s.changed(lambda A: A[..., order], lambda A: A[..., np.argsort(order)])
    s.same("permutation", s.raw(score(u), cut), s.raw(score(u)), "the order of the channels moves the map")


def total(model: Model, x: Any, **setting: Any) -> None:
    """The map sums to sum_k,p G A, the score's derivative along the feature maps."""
    s = Setting(model, x, **setting)
    u = s.direction()

    def along(example: Any) -> Any:
        value, rest = s.split.features(s.model.params, jax.tree.map(lambda leaf: leaf[None], example))
        maps = s.axes.to_map(value)

        def scaled(t: Any) -> Any:
            outputs = s.split.head(s.model.params, s.axes.plant(maps * t, value), rest)
            return score(u)(s.split.unbatched(outputs))

        return jax.grad(scaled)(jnp.ones((), maps.dtype))

    space = tuple(range(1, 1 + len(s.axes.grid)))
    want = jax.lax.map(along, s.x)
    s.same("total", s.raw(score(u)).sum(space), want, "the map does not sum to sum(G * A)")


def local(model: Model, x: Any, **setting: Any) -> None:
    """Where the score does not read the feature maps, the map is zero."""
    s = Setting(model, x, **setting)
    u, read = s.direction(), s.random.random(s.axes.grid) < 0.5
    cut = s.changed(lambda A: A, lambda A: A * _as(read[..., None], A))
    raw = s.raw(score(u), cut)
    outside = np.where(read, 0, raw)
    s.same(
        "local", np.where(read, raw, 0) + outside, np.where(read, raw, 0), "the map is not zero where nothing is read"
    )


def _as(array: np.ndarray, like: Any) -> Any:
    # Broadcast by hand: rank promotion may be forbidden where a law is used.
    return jnp.broadcast_to(jnp.asarray(array, like.dtype), like.shape)


def _product(A: Any, matrix: np.ndarray) -> Any:
    return jnp.matmul(A, jnp.asarray(matrix, A.dtype), precision="highest")
