"""Group-CAM (Zhang et al., 2021, arXiv:2103.13859)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from camjax.methods._contract import About, CoarseMap
from camjax.methods._evaluate import each, min_max

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class GroupCAM:
    """Group-CAM: groups of channels weighted by what the input through each of them gains over a blurred input.

        M_g = relu(sum_{k in g} mean_p(G_k) A_k)
        x_g = x * s(U(M_g)) + blur(x) * (1 - s(U(M_g)))
        w_g = relu(p(x_g) - p(blur(x))),        raw = sum_g w_g M_g

    Groups are contiguous. A constant M_g masks nothing, and has no weight.

    Args:
        groups: how many groups, at most one per channel.
        scores: "probability": p is the softmax probability of the target's class; "score": the score itself.
        blur: the Gaussian's length in pixels (odd) and its standard deviation.

    Raises:
        ValueError: when `scores` is neither, or a number does not fit.

    >>> GroupCAM()
    GroupCAM(groups=32, scores='probability', blur=(51, 50.0))
    """

    groups: int = 32
    scores: str = "probability"
    blur: tuple[int, float] = (51, 50.0)

    about: ClassVar[About] = About(
        "Zhang et al., 2021 (arXiv:2103.13859)",
        "34 forward; 1 backward of the head",
        "Score-CAM's idea at a fixed and small price",
    )

    def __post_init__(self) -> None:
        if self.scores not in ("probability", "score"):
            raise ValueError(f"GroupCAM: scores={self.scores!r}, expected 'probability' or 'score'.")
        if self.groups < 1 or self.blur[0] % 2 != 1 or self.blur[1] <= 0:
            raise ValueError(
                f"GroupCAM: groups={self.groups!r}, blur={self.blur!r}; expected a positive number of groups, and a "
                "blur of odd length with a positive deviation."
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """Probabilities or scores."""
        evaluated = "probability" if self.scores == "probability" else "model"
        return ("activations", "gradients", evaluated, "masked", "upsample", "chunk")

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        gradients: Float[Array, "*space C"],
        masked: Callable[..., Any],
        upsample: Callable[[Any], Any],
        chunk: int,
        model: Callable[[Any], Any] | None = None,
        probability: Callable[[Any], Any] | None = None,
    ) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equations."""
        evaluate: Any = probability if self.scores == "probability" else model
        channels = activations.shape[-1]
        count = min(self.groups, channels)
        parts = np.array_split(np.arange(channels), count)
        belongs = np.stack([np.isin(np.arange(channels), part) for part in parts], 1)  # [C, groups]
        terms = activations * jnp.broadcast_to(gradients.mean(tuple(range(gradients.ndim - 1))), activations.shape)
        maps = jax.nn.relu(jnp.matmul(terms, jnp.asarray(belongs, terms.dtype), precision="highest"))

        def gain(group: Any) -> Any:
            mask, varies = min_max(upsample(maps[..., group]))
            return jnp.where(varies, evaluate(masked(mask, blur=self.blur)), -jnp.inf)

        blurred = evaluate(masked(jnp.zeros_like(upsample(maps[..., 0])), blur=self.blur))
        weights = jax.nn.relu(each(gain, count, chunk) - blurred)
        return CoarseMap(jnp.matmul(maps, weights, precision="highest"))
