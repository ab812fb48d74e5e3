"""RISE and occlusion: the model as a black box, seen through masks; the yardsticks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from camjax.methods._contract import About, CoarseMap
from camjax.methods._evaluate import mean_of

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class RISE:
    """RISE (Petsiuk et al., BMVC 2018, arXiv:1806.07421): the mean of random masks, weighted by what they let through.

        raw = 1/N sum_i p(x * m_i) m_i / E[m]        (eq. 6)

    m_i: a coarse grid of zeros and ones, upsampled to a cell more than the input's size and cut out at a random
    place. The map has the input's size and is never negative; only its differences mean something.

    Args:
        samples: N.
        cells: the coarse grid's length along each axis.
        probability: of a one.
        scores: "probability": p is the softmax probability of the target's class; "score": the score itself.

    Raises:
        ValueError: when `scores` is neither, or a number does not fit.

    >>> RISE()
    RISE(samples=4000, cells=7, probability=0.5, scores='probability')
    """

    samples: int = 4000
    cells: int = 7
    probability: float = 0.5
    scores: str = "probability"

    grid: ClassVar[str] = "input"
    about: ClassVar[About] = About(
        "Petsiuk et al., BMVC 2018 (arXiv:1806.07421)",
        "N + 1 forward, N = 4000",
        "any model, no layer: a slow yardstick for the others",
    )

    def __post_init__(self) -> None:
        if self.scores not in ("probability", "score"):
            raise ValueError(f"RISE: scores={self.scores!r}, expected 'probability' or 'score'.")
        if self.samples < 1 or self.cells < 1 or not 0 < self.probability < 1:
            raise ValueError(
                f"RISE: samples={self.samples!r}, cells={self.cells!r}, probability={self.probability!r}; expected "
                "positive numbers, and a probability between 0 and 1."
            )

    @property
    def needs(self) -> tuple[str, ...]:
        """Probabilities or scores."""
        evaluated = "probability" if self.scores == "probability" else "model"
        return ("activations", evaluated, "masked", "upsample", "key", "chunk")

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        masked: Callable[..., Any],
        upsample: Callable[[Any], Any],
        key: Array,
        chunk: int,
        model: Callable[[Any], Any] | None = None,
        probability: Callable[[Any], Any] | None = None,
    ) -> CoarseMap:
        """The map of one example and one target; the class has the equation."""
        evaluate: Any = probability if self.scores == "probability" else model
        like = jax.eval_shape(upsample, activations[..., 0])
        cell = [-(-n // self.cells) for n in like.shape]

        def share(sample: Any) -> Any:
            coarse, *places = jax.random.split(jax.random.fold_in(key, sample), 1 + len(cell))
            ones = jax.random.bernoulli(coarse, self.probability, (self.cells,) * len(cell)).astype(like.dtype)
            large = jax.image.resize(ones, [(self.cells + 1) * c for c in cell], "linear", antialias=False)
            at = [jax.random.randint(place, (), 0, c) for place, c in zip(places, cell, strict=True)]
            mask = jax.lax.dynamic_slice(large, at, like.shape)
            return evaluate(masked(mask)) * mask

        return CoarseMap(mean_of(share, self.samples, chunk) / self.probability)


@dataclasses.dataclass(frozen=True)
class Occlusion:
    """Occlusion (Zeiler & Fergus, ECCV 2014, arXiv:1311.2901): how much the score falls where a patch is covered.

        raw_q = mean over the patches that cover q of S(x) - S(x with the patch filled)

    The patch slides over the input, the last one of a row flush with its end. The map has the input's size.

    Args:
        patch: the patch's length along each axis, in pixels.
        stride: how far it moves.
        fill: what it is filled with, in units of the model's input.

    Raises:
        ValueError: when a length is not positive.

    >>> import camjax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: x.sum((1, 2)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.sum((1, 2)))
    >>> x = jnp.zeros((1, 2, 4, 1)).at[0, 0, 0, 0].set(3.0)
    >>> camjax.explain(model, x, 0, layer=split, method=Occlusion(patch=2, stride=2)).raw[0]
    Array([[3., 3., 0., 0.],
           [3., 3., 0., 0.]], dtype=float32)
    """

    patch: int = 16
    stride: int = 8
    fill: float = 0.0

    grid: ClassVar[str] = "input"
    about: ClassVar[About] = About(
        "Zeiler & Fergus, ECCV 2014 (arXiv:1311.2901)",
        "1 forward, and 1 per place of the patch: (H / stride) (W / stride)",
        "any model, no layer, no chance: what happens when this is not there",
    )

    def __post_init__(self) -> None:
        if self.patch < 1 or self.stride < 1:
            raise ValueError(f"Occlusion: patch={self.patch!r}, stride={self.stride!r}; expected positive ints.")

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        score: Float[Array, ""],
        model: Callable[[Any], Any],
        masked: Callable[..., Any],
        upsample: Callable[[Any], Any],
        chunk: int,
    ) -> CoarseMap:
        """The map of one example and one target; the class has the equation."""
        like = jax.eval_shape(upsample, activations[..., 0])
        starts = [[*range(0, max(n - self.patch, 0), self.stride), max(n - self.patch, 0)] for n in like.shape]
        places = jnp.asarray(np.stack(np.meshgrid(*starts, indexing="ij"), -1).reshape(-1, len(starts)))
        fill = jnp.asarray(self.fill, like.dtype)

        def fall(number: Any) -> tuple[Any, Any]:
            covered = jnp.ones(like.shape, like.dtype)
            for axis, n in enumerate(like.shape):
                line = (jnp.arange(n) >= places[number, axis]) & (jnp.arange(n) < places[number, axis] + self.patch)
                shape = [1] * len(like.shape)
                shape[axis] = n
                covered = covered * jnp.broadcast_to(line.astype(like.dtype).reshape(shape), like.shape)
            return covered * (score - model(masked(1 - covered, fill=fill))), covered

        falls, times = mean_of(fall, len(places), chunk)
        return CoarseMap(falls / jnp.where(times > 0, times, 1))  # a stride longer than the patch leaves gaps: zero
