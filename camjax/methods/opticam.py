"""Opti-CAM (Zhang et al., CVIU 2024, arXiv:2301.07002)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap
from camjax.methods._evaluate import min_max
from camjax.methods._weighted import weighted

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class OptiCAM:
    """Opti-CAM: the mix of channels through which the input keeps its score, found by gradient descent.

        min_u |S(x) - S(x * s(U(sum_k softmax(u)_k A_k)))|,        w = softmax(u),        raw = sum_k w_k A_k

    Adam from u = 0.5. It optimises, picture by picture, what average drop and average increase measure: good figures
    there say nothing about it. Needs optax (`pip install 'camjax[optim]'`).

    Args:
        steps: of Adam.
        rate: its learning rate.

    Raises:
        ImportError: optax is not installed.
        ValueError: when a number is not positive.

    >>> OptiCAM()
    OptiCAM(steps=100, rate=0.1)
    """

    steps: int = 100
    rate: float = 0.1

    about: ClassVar[About] = About(
        "Zhang et al., CVIU 2024 (arXiv:2301.07002)",
        "100 forward, 100 backward of the whole model",
        "the channels that suffice for the score; slow, and tuned to the metrics it is judged by",
    )

    def __post_init__(self) -> None:
        if self.steps < 1 or self.rate <= 0:
            raise ValueError(f"OptiCAM: steps={self.steps!r}, rate={self.rate!r}; expected positive numbers.")

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        score: Float[Array, ""],
        model: Callable[[Any], Any],
        masked: Callable[..., Any],
        upsample: Callable[[Any], Any],
    ) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equation."""
        try:
            import optax
        except ImportError as error:
            raise ImportError("OptiCAM needs optax: pip install 'camjax[optim]'") from error
        adam = optax.adam(self.rate)

        def loss(u: Any) -> Any:
            mixed = jnp.matmul(activations, jax.nn.softmax(u), precision="highest")
            return jnp.abs(score - model(masked(min_max(upsample(mixed))[0])))

        def step(state: Any, _: None) -> tuple[Any, None]:
            u, inner = state
            updates, inner = adam.update(jax.grad(loss)(u), inner, u)
            return (optax.apply_updates(u, updates), inner), None

        u = jnp.full(activations.shape[-1:], 0.5, activations.dtype)
        with jax.numpy_dtype_promotion("standard"):  # optax counts its steps in integers
            (u, _), _ = jax.lax.scan(step, (u, adam.init(u)), None, length=self.steps)
        return weighted(activations, jax.nn.softmax(u))
