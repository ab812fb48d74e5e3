"""Score-CAM (Wang et al., CVPR Workshops 2020, arXiv:1910.01279), and its faster form."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap
from camjax.methods._evaluate import each, min_max, softmax_of
from camjax.methods._weighted import weighted

if TYPE_CHECKING:
    from jaxtyping import Array, Float

WEIGHTS = ("softmax", "probability", "increase")


@dataclasses.dataclass(frozen=True)
class ScoreCAM:
    """Score-CAM: channels weighted by the score of the input seen through each of them.

        H_k = s(U(A_k)),        w = softmax_k S(x * H_k)        (eq. 7 to 9)
        raw = sum_k w_k A_k

    with U the upsampling to the input's size and s the scaling to 0..1. The paper takes the score of a baseline away
    from each, which the softmax undoes. A constant channel masks nothing, and has no weight.

    Args:
        weights: "softmax" as above; "probability": w_k is the class's probability for x * H_k, as in the authors' code;
            "increase": w_k = S(x * H_k) - S(0), the channel-wise increase of definition 3 itself.
        channels: how many channels to evaluate, those of the largest standard deviation; None: all.

    Raises:
        ValueError: when `weights` is none of these, or `channels` not positive.

    >>> import camjax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: x.sum((1, 2)) @ w, jnp.eye(2))
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.sum((1, 2)) @ w)
    >>> x = jnp.zeros((1, 2, 2, 2)).at[0, 0, 0, 0].set(2.0).at[0, 1, 1, 1].set(2.0)
    >>> weights = camjax.explain(model, x, 0, layer=split, method=ScoreCAM()).weights[0]      # softmax of 2 and 0
    >>> [f"{w:.3f}" for w in weights]
    ['0.881', '0.119']
    """

    weights: str = "softmax"
    channels: int | None = None

    about: ClassVar[About] = About(
        "Wang et al., CVPR Workshops 2020 (arXiv:1910.01279)",
        "C + 1 forward",
        "where gradients cannot be had or trusted",
    )

    def __post_init__(self) -> None:
        if self.weights not in WEIGHTS:
            raise ValueError(f"ScoreCAM: weights={self.weights!r}, expected one of {', '.join(map(repr, WEIGHTS))}.")
        if self.channels is not None and self.channels < 1:
            raise ValueError(f"ScoreCAM: channels={self.channels!r}, expected a positive int, or None for all.")

    @property
    def needs(self) -> tuple[str, ...]:
        """Scores or probabilities."""
        evaluated = "probability" if self.weights == "probability" else "model"
        return ("activations", evaluated, "masked", "upsample", "chunk")

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        masked: Callable[[Any], Any],
        upsample: Callable[[Any], Any],
        chunk: int,
        model: Callable[[Any], Any] | None = None,
        probability: Callable[[Any], Any] | None = None,
    ) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equations."""
        evaluate: Any = probability if self.weights == "probability" else model
        size = activations.shape[-1]
        flat = activations.reshape(-1, size)
        chosen = jnp.arange(size)
        if self.channels is not None and self.channels < size:
            chosen = jax.lax.top_k(flat.std(0), self.channels)[1]

        def score(number: Any) -> tuple[Any, Any]:
            mask, varies = min_max(upsample(activations[..., chosen[number]]))
            return evaluate(masked(mask)), varies

        scores, varies = each(score, len(chosen), chunk)
        if self.weights == "softmax":
            found = softmax_of(scores, varies)
        elif self.weights == "probability":
            found = jnp.where(varies, scores, 0)
        else:
            blank = evaluate(masked(jnp.zeros_like(upsample(activations[..., 0]))))
            found = jnp.where(varies, scores - blank, 0)
        return weighted(activations, jnp.zeros((size,), found.dtype).at[chosen].set(found))


@dataclasses.dataclass(frozen=True)
class FasterScoreCAM(ScoreCAM):
    """Faster Score-CAM: Score-CAM of the ten channels that vary most over space.

    The other channels have no weight. See `ScoreCAM`.

    >>> FasterScoreCAM().channels
    10
    """

    channels: int | None = 10

    about: ClassVar[About] = About(
        "tf-keras-vis (Faster-ScoreCAM), after Wang et al., 2020 (arXiv:1910.01279)",
        "11 forward",
        "Score-CAM at a price that does not grow with the channels",
    )
