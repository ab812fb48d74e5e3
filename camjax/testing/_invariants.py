"""The laws that hold for every method: how an explanation is run must not change what it says."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax._example import input_size
from camjax._explainer import explainer
from camjax._explanation import Status
from camjax._model import Model
from camjax._postprocess import heatmap
from camjax.testing._law import law
from camjax.testing._setting import Counterexample, Setting


@law
def stacked(s: Setting) -> None:
    """The maps of a batch are the maps of its examples, one at a time and in any order."""
    ids = np.arange(s.batch) + 7
    whole = _raw(s, ids=ids)
    one = [_raw(s, x=_take(s.x, [i]), ids=ids[i : i + 1]) for i in range(s.batch)]
    s.same(np.concatenate(one), whole, "an example alone has another map than in the batch")
    order = np.arange(s.batch)[::-1].copy()
    turned = _raw(s, x=_take(s.x, order), ids=ids[order])
    s.same(turned, whole[order], "an example's map depends on its place in the batch")


@law
def chunked(s: Setting) -> None:
    """How many targets are evaluated at once does not matter, nor that they are evaluated together."""
    ids = np.arange(s.batch)
    classes = np.arange(s.scores.shape[0])
    want = np.stack([_raw(s, c, ids=ids) for c in classes], axis=1)
    for chunk in (1, 7):
        got = s.explain(classes[None], chunk=chunk, ids=ids).raw
        s.same(got, want, f"chunk={chunk} moves the map of some class", "example, class, position")


@law
def transformed(s: Setting) -> None:
    """Under `jax.jit` and `jax.vmap`, one inside the other, the maps are the same."""
    ids = np.arange(s.batch)
    want = _raw(s, ids=ids)
    f = explainer(s.model, s.x, layer=s.split, method=s.method, size=None)
    twice = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1]]), s.x)
    order = jnp.stack([jnp.asarray(ids), jnp.asarray(ids)[::-1]])

    @jax.jit
    def mapped(model: Model, twice: Any, order: Any, key: Any) -> Any:
        target = np.zeros((1, 1), np.int32)
        return jax.vmap(lambda x, ids: f(model, x, target, ids=ids, key=key).raw)(twice, order)

    got = np.asarray(mapped(s.model, twice, order, s.key)[:, :, 0])
    s.same(got[0], want, "jax.jit and jax.vmap move the map")
    s.same(got[1, ::-1], want, "jax.jit and jax.vmap move the map of the batch in reverse")


@law
def finite(s: Setting) -> None:
    """No map is NaN, and heatmaps are in 0..1: for the input, zeros and its negation, for classes and against them."""
    rows = np.eye(s.scores.shape[0], dtype=s.scores.dtype)
    for name, scale in (("the input", 1), ("an input of zeros", 0), ("the input, negated", -1)):
        x = jax.tree.map(lambda leaf, scale=scale: leaf * jnp.asarray(scale, leaf.dtype), s.x)
        size = input_size(s.axes, jax.tree.map(lambda leaf: leaf[0], x))
        for number in (0, len(rows) - 1) if s.only is None else (s.only,):
            for sign in (1, -1):
                got = s.at(sign * rows[number], x=x)
                heat = np.asarray(heatmap(got, size))
                inside = ((heat >= 0) & (heat <= 1 + 1e-5)).all(tuple(range(1, heat.ndim)))  # not where it is NaN
                bad = (np.asarray(got.status) & int(Status.NON_FINITE)).astype(bool) | ~inside
                if bad.any():
                    i = int(bad.argmax())
                    raise Counterexample(
                        s,
                        f"for {name}, the map {'of' if sign > 0 else 'against'} class {number} of example "
                        f"{i + s.first} is not finite or not in 0..1: the heatmap has values from {heat[i].min():.6g} "
                        f"to {heat[i].max():.6g}, and the score is {got.score[i]:.6g}.",
                    )


def _raw(s: Setting, index: int = 0, **options: Any) -> np.ndarray:
    # One class's maps; the class is data, so that all classes are one program.
    return np.asarray(s.explain(np.array([[index]], np.int32), **options).raw)[:, 0]


def _take(x: Any, where: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[np.asarray(where)], x)
