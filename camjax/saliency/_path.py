"""Integrated Gradients: the gradient along a straight line from a baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from camjax.methods._contract import About
from camjax.saliency._contract import Saliency, check_count


@dataclasses.dataclass(frozen=True)
class IntegratedGradients(Saliency):
    """Integrated Gradients: the input's distance from a baseline times the mean gradient on the way.

        values = (x - b) 1/n sum_i dS/dx (b + (i - 1/2)/n (x - b)),   i = 1..n    (eq. 3, at the steps' midpoints)

    Completeness: the values add up to S(x) - S(b) (proposition 1), but for the error of the n steps. That is checked:
    a sum that is off by more than 1 % of the difference sets `Status.INCOMPLETE`, and a strict `attribute` warns.

    Args:
        steps: n; 64.
        baseline: b, the input in which there is nothing to see: a number for all entries (0: of a picture whose mean
            was subtracted, the mean colour), or a function of one example's floating leaves that returns the like.

    Shapes: as the input. Cost: n + 2 forward passes, and n backward passes per target.
    Raises ValueError for `steps` below 1, and for a baseline that does not have the input's shapes.

    For shares that add up, where the score saturates too. What it calls evidence depends on the baseline: what looks
    like the baseline gets nothing.

    Sundararajan, Taly, Yan, ICML 2017 (arXiv:1703.01365).

    >>> import camjax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: jnp.square(x) @ w, jnp.array([[1.0], [-1.0]]))
    >>> shares = camjax.attribute(model, jnp.array([[3.0, 2.0]]), 0, method=camjax.saliency.IntegratedGradients())
    >>> shares.values, shares.score
    (Array([[ 9., -4.]], dtype=float32), Array([5.], dtype=float32))
    """

    steps: int = 64
    baseline: float | Callable[[Any], Any] = 0.0
    remedy: ClassVar[str] = (
        "the values do not add up to S(x) - S(baseline) within 1 %: the gradient changes too fast along the line. Take "
        "more steps, IntegratedGradients(steps=256), or a baseline that is closer to the input"
    )
    about: ClassVar[About] = About(
        "Sundararajan et al., ICML 2017 (arXiv:1703.01365)",
        "n + 2 = 66 forward passes, 64 backward passes per target",
        "shares of the score that add up; depends on the baseline",
    )

    def __post_init__(self) -> None:
        check_count(self, "steps", 1)

    @property
    def points(self) -> int:
        """n."""
        return self.steps

    def point(self, x: Any, key: Any, i: Any) -> Any:
        """The midpoint of step `i`, counted from 0."""

        def there(leaf: Any, b: Any) -> Any:
            return b + (jnp.asarray(i, leaf.dtype) + 0.5) / self.steps * (leaf - b)

        return jax.tree.map(there, x, self._baseline(x))

    def values(self, x: Any, mean: Any, variance: Any) -> Any:
        """The shares."""
        return jax.tree.map(lambda leaf, b, g: (leaf - b) * g, x, self._baseline(x), mean)

    def incomplete(self, x: Any, values: Any, score: Any, score_at: Callable[[Any], Any]) -> Any:
        """Whether the sum is off by more than 1 %, and by more than rounding explains."""
        start = score_at(self._baseline(x))
        total = sum(leaf.sum() for leaf in jax.tree.leaves(values))
        size = sum(jnp.abs(leaf).sum() for leaf in jax.tree.leaves(values)) + jnp.abs(score) + jnp.abs(start)
        rounding = 1000 * jnp.finfo(score.dtype).eps * size
        return jnp.abs(total - (score - start)) > 0.01 * jnp.abs(score - start) + rounding

    def _baseline(self, x: Any) -> Any:
        if not callable(self.baseline):
            number = self.baseline
            return jax.tree.map(lambda leaf: jnp.full_like(leaf, number), x)
        found = self.baseline(x)
        got, want = (jax.tree.map(jnp.shape, tree) for tree in (found, x))
        if got != want:
            raise ValueError(
                f"IntegratedGradients: the baseline function returned arrays of shapes {got} for one example of shapes "
                f"{want}; expected the same, as in baseline=jnp.zeros_like."
            )
        return jax.tree.map(lambda b, leaf: jnp.asarray(b, leaf.dtype), found, x)
