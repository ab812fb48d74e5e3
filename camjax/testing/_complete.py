"""Completeness: a score is the sum of its input's share and of the shares of all biases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from camjax import _validate
from camjax._example import wide
from camjax._layers import _traced
from camjax._model import Model
from camjax._target import Target, as_target

if TYPE_CHECKING:
    from jaxtyping import Array, Float


class Completeness(NamedTuple):
    """The two sides of FullGrad's decomposition, S = sum x * dS/dx + sum over sites of b * g, for a batch.

    Attributes:
        score: `[B, K]`, the scores S.
        total: `[B, K]`, the sums.
        size: `[B, K]`, the sums of the terms' absolute values, by which `gap` is measured.
    """

    score: Float[Array, "B K"]
    total: Float[Array, "B K"]
    size: Float[Array, "B K"]

    @property
    def gap(self) -> Float[Array, "B K"]:
        """|score - total| / size; 0 where there is nothing."""
        return jnp.abs(self.score - self.total) / jnp.maximum(self.size, jnp.finfo(self.size.dtype).tiny)


def completeness(model: Model, x: Any, target: Any = None, *, scores: str = "logits") -> Completeness:
    """Adds up all terms of a model's scores, those without a place in the picture too, one example after the other.

    Args:
        model: any `camjax.Model`.
        x: a batch, its axis first.
        target: as for `camjax.explain`.
        scores: as for `camjax.explain`.

    Raises:
        ValueError: for what `camjax.explain` refuses, and for models with a while loop, which has no gradient.

    >>> import camjax
    >>> model = camjax.Model(lambda p, x: jnp.square(x @ p["w"] + 1), {"w": jnp.array([[2.0], [3.0]])})
    >>> found = completeness(model, jnp.array([[1.0, 1.0]]), 0)  # (5 + 1)^2 = 60 + 12 - 36
    >>> found.score.item(), found.total.item(), found.size.item(), found.gap.item()
    (36.0, 36.0, 108.0, 0.0)
    """
    x, batch = _validate.check_input(x)
    _validate.check_choice("scores", scores, ("logits", "outputs"))
    bound, _ = as_target(target, model.labels, batch)
    found = _traced(model, x)
    whole, sites = found.whole(scores), found.sites(scores)

    @jax.jit
    def of_one(params: Any, x: Any, target: Target) -> Completeness:
        outputs = wide(whole.outputs(params, x))
        target = target.resolve(outputs)

        def of(target: Target) -> Completeness:
            terms = sites.terms(whole, params, jax.tree.map(lambda a: a[None], x), lambda out: target(wide(out)))
            score = target(outputs)
            total = sum((t.values.sum().astype(score.dtype) for t in terms), start=jnp.zeros_like(score))
            size = sum((jnp.abs(t.values).sum().astype(score.dtype) for t in terms), start=jnp.zeros_like(score))
            return Completeness(score, total, size)

        return jax.vmap(of, axis_size=bound.count)(target)

    params = whole.bound(model.params)
    rows = [of_one(params, *jax.tree.map(lambda a, i=i: a[i if len(a) > 1 else 0], (x, bound))) for i in range(batch)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)


def complete(model: Model, x: Any, target: Any = None, *, scores: str = "logits", rtol: float | None = None) -> None:
    """The score is the sum of the terms that `camjax.methods.FullGrad` shows, and of those without a place.

    Args:
        model: any `camjax.Model`.
        x: a batch, its axis first.
        target: as for `camjax.explain`.
        scores: as for `camjax.explain`.
        rtol: the tolerated difference, relative to the sum of the terms' absolute values; None: 1e-12 for models
            in float64 and 1e-4 for others.

    Raises:
        AssertionError: in words, where it is not.

    >>> import camjax
    >>> complete(camjax.Model(lambda w, x: jnp.tanh(x @ w), jnp.ones((2, 3))), jnp.ones((4, 2)), [[0, 1, 2]])
    """
    found = jax.tree.map(np.asarray, completeness(model, x, target, scores=scores))
    rtol = rtol if rtol is not None else (1e-12 if found.score.dtype == np.float64 else 1e-4)
    gap = np.asarray(Completeness(*found).gap)
    if not (gap <= rtol).all():  # also when it is NaN
        b, k = np.unravel_index(np.nanargmax(np.where(np.isnan(gap), np.inf, gap)), gap.shape)
        raise AssertionError(
            f"complete: example {b}, target {k}: the score is {found.score[b, k]:.8g}, its terms add up to "
            f"{found.total[b, k]:.8g}; that is {gap[b, k]:.3g} of their absolute values' sum {found.size[b, k]:.3g}, "
            f"the tolerance is {rtol:g}. Is a derivative in the model not the function's own, or is it not finite?"
        )
