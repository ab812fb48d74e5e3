"""Statistics of the gradient over noisy copies of the input."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import jax

from camjax.methods._contract import About
from camjax.saliency._contract import Saliency, check_count


@dataclasses.dataclass(frozen=True)
class SmoothGrad(Saliency):
    """SmoothGrad: the mean gradient over noisy copies of the input.

        values = 1/n sum_i dS/dx (x + e_i),    e_i ~ N(0, (noise (max x - min x))^2)

    Args:
        samples: n; 50.
        noise: the standard deviation relative to the range of the example's values, of each leaf by itself; 0.15.

    Shapes: as the input. Cost: n forward passes, and n backward passes per target. Needs `key=`; an example's noise
    depends on the key and on its id alone, and all targets share it.
    Raises ValueError for `samples` below 1 and for negative `noise`.

    A gradient for looking at: it keeps what a neighbourhood agrees on.

    Smilkov, Thorat, Kim, Viégas, Wattenberg, 2017 (arXiv:1706.03825), section 3.

    >>> import camjax, jax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: jnp.square(x) @ w, jnp.array([[1.0], [-1.0]]))
    >>> smooth = camjax.saliency.SmoothGrad(samples=1000)
    >>> camjax.attribute(model, jnp.array([[3.0, 2.0]]), 0, method=smooth, key=jax.random.key(0)).values.round(1)
    Array([[ 6., -4.]], dtype=float32)
    """

    samples: int = 50
    noise: float = 0.15
    random: ClassVar[bool] = True
    about: ClassVar[About] = About(
        "Smilkov et al., 2017 (arXiv:1706.03825)",
        "n = 50 forward passes, 50 backward passes per target",
        "a gradient for looking at, with less noise",
    )

    def __post_init__(self) -> None:
        check_count(self, "samples", 2 if self.spread else 1)
        if isinstance(self.noise, bool) or not 0 <= self.noise < math.inf:
            raise ValueError(
                f"{type(self).__name__}: noise must be a number of at least 0, relative to the range of the example's "
                f"values, got {self.noise!r}."
            )

    @property
    def points(self) -> int:
        """n."""
        return self.samples

    def point(self, x: Any, key: Any, i: Any) -> Any:
        """The example with noise number `i`."""
        leaves, tree = jax.tree.flatten(x)
        keys = jax.random.split(jax.random.fold_in(key, i), len(leaves))
        noisy = [
            leaf + self.noise * (leaf.max() - leaf.min()) * jax.random.normal(own, leaf.shape, leaf.dtype)
            for leaf, own in zip(leaves, keys, strict=True)
        ]
        return tree.unflatten(noisy)


@dataclasses.dataclass(frozen=True)
class VarGrad(SmoothGrad):
    """VarGrad: the variance of the gradient over noisy copies of the input.

        values = 1/n sum_i (dS/dx (x + e_i) - mean)^2,    the same e_i as for SmoothGrad

    Args:
        samples: n; 50.
        noise: as for `SmoothGrad`; 0.15.

    Shapes: as the input; never negative. Cost: n forward passes, and n backward passes per target. Needs `key=`.
    Raises ValueError for `samples` below 2 and for negative `noise`.

    It shows where the gradient changes: a piecewise linear network's kinks near the input. It has no sign, and is
    zero where the score is linear, however steep.

    Adebayo, Gilmer, Goodfellow, Kim, ICLR workshop 2018 (arXiv:1810.03307).

    >>> import camjax, jax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: jnp.square(x) @ w, jnp.array([[1.0], [0.0]]))
    >>> spread = camjax.saliency.VarGrad(samples=1000)     # (2 * 0.15)^2, as the range is 1 and S'' is 2
    >>> camjax.attribute(model, jnp.array([[3.0, 2.0]]), 0, method=spread, key=jax.random.key(0)).values.round(2)
    Array([[0.09, 0.  ]], dtype=float32)
    """

    spread: ClassVar[bool] = True
    about: ClassVar[About] = About(
        "Adebayo et al., ICLR workshop 2018 (arXiv:1810.03307)",
        "n = 50 forward passes, 50 backward passes per target",
        "where the gradient is unsteady; without a sign",
    )

    def values(self, x: Any, mean: Any, variance: Any) -> Any:
        """The variance."""
        return variance
