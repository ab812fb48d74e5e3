"""Smooth Grad-CAM++ (Omeiza et al., 2019, arXiv:1908.01224)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap
from camjax.methods._weighted import sum_over_space, weighted
from camjax.methods.gradcampp import ratio

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class SmoothGradCAMPlusPlus:
    """Smooth Grad-CAM++: Grad-CAM++ with derivatives averaged over noisy inputs.

        D_j = 1/n sum_i G_i^j,  G_i = dS/dA at the input + N(0, sigma^2)
        w_k = sum_p D2 / (2 D2 + a_k D3) relu(D1),        raw = sum_k w_k A_k

    a_k = sum_p A[k, p] and A are those of the clean input. Where a_k < 0 it counts as 0.

    Args:
        samples: n.
        sigma: the noise's standard deviation, in units of the model's input.

    Raises:
        ValueError: when `samples` is not a positive int, or `sigma` not positive.

    >>> import jax, jax.numpy as jnp
    >>> A, G = jnp.array([[1.0], [3.0]]), jnp.array([[2.0], [-1.0]])
    >>> maps = SmoothGradCAMPlusPlus()(
    ...     activations=A, run=lambda x: (A, G), inputs=jnp.zeros(2), key=jax.random.key(0), chunk=1)
    >>> maps.weights        # the same gradient for every input: Grad-CAM++'s
    Array([0.2], dtype=float32)
    """

    samples: int = 4
    sigma: float = 0.3

    about: ClassVar[About] = About(
        "Omeiza et al., 2019 (arXiv:1908.01224)",
        "n forward, n backward of the head, n = 4",
        "as Grad-CAM++, when its map is too ragged; Smoothing(noise=...) does the like for any method",
    )

    def __post_init__(self) -> None:
        if isinstance(self.samples, bool) or not isinstance(self.samples, int) or self.samples < 1 or self.sigma <= 0:
            raise ValueError(
                f"SmoothGradCAMPlusPlus: samples={self.samples!r}, sigma={self.sigma!r}; expected a positive int and a "
                "positive number."
            )

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        run: Callable[[Any], tuple[Any, Any]],
        inputs: Any,
        key: Array,
        chunk: int,
    ) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equations."""

        def powers(key: Array) -> tuple[Array, Array, Array]:
            gradients = run(noisy(inputs, self.sigma, key))[1]
            return gradients, gradients**2, gradients**3

        sums = jax.lax.map(powers, jax.random.split(key, self.samples), batch_size=min(chunk, self.samples))
        d1, d2, d3 = (power.mean(0) for power in sums)
        a = jnp.broadcast_to(jax.nn.relu(sum_over_space(activations)), activations.shape)
        return weighted(activations, sum_over_space(ratio(d2, 2 * d2, a * d3) * jax.nn.relu(d1)))


def noisy(inputs: Any, sigma: float, key: Array) -> Any:
    """The input with Gaussian noise on its floating leaves."""
    leaves, tree = jax.tree.flatten(inputs)
    keys = jax.random.split(key, len(leaves))
    return tree.unflatten(
        [
            leaf + jnp.asarray(sigma, leaf.dtype) * jax.random.normal(own, leaf.shape, leaf.dtype)
            if jnp.issubdtype(leaf.dtype, jnp.floating)
            else leaf
            for leaf, own in zip(leaves, keys, strict=True)
        ]
    )
