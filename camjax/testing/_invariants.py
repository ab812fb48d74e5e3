"""The laws that hold for every method: how an explanation is run must not change what it says."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax._example import class_scores
from camjax._explainer import explainer
from camjax._explanation import Status
from camjax._model import Model
from camjax.testing._setting import Setting


def stacked(model: Model, x: Any, **setting: Any) -> None:
    """The maps of a batch are the maps of its examples, one at a time and in any order."""
    s = Setting(model, x, **setting)
    batch = jax.tree.leaves(s.x)[0].shape[0]
    ids = np.arange(batch) + 7
    whole = s.raw(None, ids=ids)
    one = [s.raw(None, x=_take(s.x, [i]), ids=ids[i : i + 1]) for i in range(batch)]
    s.same("stacked", np.concatenate(one), whole, "an example alone has another map than in the batch")
    order = np.arange(batch)[::-1].copy()
    turned = s.raw(None, x=_take(s.x, order), ids=ids[order])
    s.same("stacked", turned, whole[order], "an example's map depends on its place in the batch")


def chunked(model: Model, x: Any, **setting: Any) -> None:
    """How many targets are evaluated at once does not matter, nor that they are evaluated together."""
    s = Setting(model, x, **setting)
    classes = np.arange(class_scores(s.split, model.params, s.x).shape[0])
    want = np.stack([s.raw(int(c)) for c in classes], axis=1)
    for chunk in (1, 2, 10_000):
        s.same("chunked", s.raw(classes[None], chunk=chunk), want, f"chunk={chunk} moves the map of some class")


def transformed(model: Model, x: Any, **setting: Any) -> None:
    """Under `jax.jit` and `jax.vmap` the maps are the same."""
    s = Setting(model, x, **setting)
    want = s.raw(None)
    f = explainer(s.model, s.x, layer=s.split, method=s.method, size=None)
    jitted = jax.jit(lambda model, x, key: f(model, x, key=key).raw)(s.model, s.x, s.key)
    s.same("transformed", jitted[:, 0], want, "jax.jit moves the map")
    twice = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1]]), s.x)
    batch = want.shape[0]
    ids = jnp.stack([jnp.arange(batch), jnp.arange(batch)[::-1]])
    mapped = jax.vmap(lambda x, ids: f(s.model, x, ids=ids, key=s.key).raw)(twice, ids)
    s.same("transformed", mapped[:, :, 0], np.stack([want, want[::-1]]), "jax.vmap moves the map")


def finite(model: Model, x: Any, **setting: Any) -> None:
    """Nothing is NaN: not for constant inputs, not for the least likely class, not for a map without evidence."""
    s = Setting(model, x, **setting)
    for name, scale in (("the input", 1), ("a constant input", 0), ("the input, negated", -1)):
        inputs = jax.tree.map(lambda leaf, scale=scale: leaf * jnp.asarray(scale, leaf.dtype), s.x)
        for target in (None, lambda out: -_sum(out)):
            got = s.explain(target, x=inputs, size="input")
            if (np.asarray(got.status) & int(Status.NON_FINITE)).any():
                raise AssertionError(f"finite: {s.method} is not finite for {name}")
            heat = np.asarray(got.heatmap)
            if not (np.isfinite(heat).all() and (heat >= 0).all() and (heat <= 1 + 1e-5).all()):
                raise AssertionError(f"finite: {s.method} has a heatmap outside of 0..1 for {name}")


def _take(x: Any, where: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[np.asarray(where)], x)


def _sum(outputs: Any) -> Any:
    return sum(leaf.sum() for leaf in jax.tree.leaves(outputs) if jnp.issubdtype(leaf.dtype, jnp.floating))
