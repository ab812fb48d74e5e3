"""SS-CAM and IS-CAM: Score-CAM with scores averaged over noise, and over the input's strength."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import jax

from camjax.methods._contract import About, CoarseMap
from camjax.methods._evaluate import each, min_max, softmax_of
from camjax.methods._weighted import weighted
from camjax.methods.smoothgradcampp import noisy

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class SSCAM:
    """SS-CAM (Wang et al., 2020, arXiv:2006.14255): Score-CAM with each channel's score averaged over noise.

        w = softmax_k 1/N sum_i S(x * s(U(A_k + e_i)))        on="maps"
        w = softmax_k 1/N sum_i S((x + e_i) * s(U(A_k)))      on="inputs"
        raw = sum_k w_k A_k,        e_i ~ N(0, sigma^2)

    Args:
        samples: N.
        sigma: the noise's standard deviation.
        on: where the noise goes.

    Raises:
        ValueError: when `on` is neither, or a number is not positive.

    >>> SSCAM()
    SSCAM(samples=35, sigma=2.0, on='maps')
    """

    samples: int = 35
    sigma: float = 2.0
    on: str = "maps"

    about: ClassVar[About] = About(
        "Wang et al., 2020 (arXiv:2006.14255)",
        "N C + 1 forward, N = 35",
        "Score-CAM with smoother maps, where 35 times its cost is no matter",
    )

    def __post_init__(self) -> None:
        if self.on not in ("maps", "inputs"):
            raise ValueError(f"SSCAM: on={self.on!r}, expected 'maps' or 'inputs'.")
        if self.samples < 1 or self.sigma <= 0:
            raise ValueError(f"SSCAM: samples={self.samples!r}, sigma={self.sigma!r}; expected positive numbers.")

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        model: Callable[[Any], Any],
        masked: Callable[..., Any],
        upsample: Callable[[Any], Any],
        inputs: Any,
        key: Array,
        chunk: int,
    ) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equations."""
        channels = activations.shape[-1]

        def score(number: Any) -> Any:
            channel, sample = number // self.samples, number % self.samples
            # The same draws for every channel, so that channels are compared and not draws.
            own, one = jax.random.fold_in(key, sample), activations[..., channel]
            if self.on == "maps":
                one = one + self.sigma * jax.random.normal(own, one.shape, one.dtype)
                return model(masked(min_max(upsample(one))[0]))
            return model(masked(min_max(upsample(one))[0], inputs=noisy(inputs, self.sigma, own)))

        scores = each(score, channels * self.samples, chunk).reshape(channels, self.samples).mean(1)
        varies = jax.vmap(lambda one: min_max(one)[1], -1)(activations)
        return weighted(activations, softmax_of(scores, varies))


@dataclasses.dataclass(frozen=True)
class ISCAM:
    """IS-CAM (Naidu et al., 2020, arXiv:2010.03023): Score-CAM with the masked input faded in, and scores averaged.

        w = softmax_k 1/N sum_{i=1..N} S((i / N) x * s(U(A_k))),        raw = sum_k w_k A_k

    Args:
        samples: N.

    Raises:
        ValueError: when `samples` is not positive.

    >>> ISCAM()
    ISCAM(samples=10)
    """

    samples: int = 10

    about: ClassVar[About] = About(
        "Naidu et al., 2020 (arXiv:2010.03023)",
        "N C + 1 forward, N = 10",
        "Score-CAM for models whose scores saturate",
    )

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"ISCAM: samples={self.samples!r}, expected a positive int.")

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        model: Callable[[Any], Any],
        masked: Callable[..., Any],
        upsample: Callable[[Any], Any],
        chunk: int,
    ) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equations."""
        channels = activations.shape[-1]

        def score(number: Any) -> Any:
            channel, step = number // self.samples, number % self.samples
            mask = min_max(upsample(activations[..., channel]))[0]
            return model(masked(mask * ((step + 1) / self.samples).astype(mask.dtype)))

        scores = each(score, channels * self.samples, chunk).reshape(channels, self.samples).mean(1)
        varies = jax.vmap(lambda one: min_max(one)[1], -1)(activations)
        return weighted(activations, softmax_of(scores, varies))
