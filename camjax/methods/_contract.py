"""The contract of a method: it declares what it needs, by name, and gets just that."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float

NEEDS = {
    "activations": "the feature maps A, [*space, C]",
    "gradients": "dS/dA, [*space, C]",
    "head": "a function from feature maps [*space, C] to the score, a scalar",
    "score": "the score S, a scalar",
    "model": "a function from an example's input to the score, a scalar",
    "probability": "a function from an example's input to the softmax probability of the target's class",
    "run": "a function from an example's input to A and dS/dA there",
    "scaled": "a function from a factor to A and dS/dA of the input at that many times its size",
    "inputs": "the example's input, without a batch axis",
    "masked": "a function from a mask of the input's size, 0 to 1, to the input seen through it; `fill=` or `blur=` "
    "say what is seen elsewhere (else zero), `inputs=` which input",
    "key": "a random key of the example, the same for all its targets",
    "upsample": "a function from a map [*space] to one of the input's size",
    "chunk": "how many evaluations of `head` or `model` may run at once, an int",
    "sites": "what the input and each bias with a place in the picture add to the score, a list of [*space, C]",
    "lift": "the head's DeepLIFT multipliers of A against maps of zeros, [*space, C]",
    "attention": "a transformer's attention between the tokens of the picture, a `camjax.methods.Attention`",
}


class CoarseMap(NamedTuple):
    """What a method returns for one example and one target.

    Attributes:
        raw: `[*space]`, the coarse map before ReLU and normalisation.
        weights: `[C]`, the weight of each channel, or None where a method has none.
        terms: `[*space, C]`, the channels' shares, whose sum is `raw`, for methods that have them.
        flag: True where the method does not apply to this model or example; its `refusal` says why.
    """

    raw: Float[Array, "*space"]
    weights: Float[Array, " C"] | None = None
    terms: Float[Array, "*space C"] | None = None
    flag: Bool[Array, ""] | bool = False


class About(NamedTuple):
    """What `camjax methods` shows of a method, beside what it needs.

    Attributes:
        paper: authors, venue, year and arXiv number.
        cost: forward and backward passes, as a function of the C channels and Z positions of the layer.
        use: when to choose it.
    """

    paper: str
    cost: str
    use: str


Method = Callable[..., CoarseMap]
"""A method: hashable (a frozen dataclass with a `__call__`, or a plain function), called for **one** example
and **one** target with those of `NEEDS` that its parameters name. All arrays are float32 or wider.

    @dataclasses.dataclass(frozen=True)
    class MeanActivation:
        def __call__(self, *, activations):
            return CoarseMap(activations.mean(-1))

The pipe maps it over targets, with A not mapped, and over the batch. So a method that evaluates `head` at points
that do not depend on the target runs it once for all targets.

A class may say more about itself, all of it optional:

- `about`, an `About`;
- `grid`: "layer" (the default: `raw` has the layer's grid), "input" (it has the input's size) or "own";
- `needs`, where they depend on its fields: a tuple of names in the place of the parameters;
- `refusal`, the error for maps that are flagged as not applicable: what is wrong, and the remedy;
- `retarget(target)`, the target that is explained in the place of the one asked for."""


@functools.lru_cache(maxsize=256)
def needs_of(method: Method) -> tuple[str, ...]:
    """The names in `NEEDS` that a method's parameters ask for.

    >>> needs_of(lambda activations, gradients: CoarseMap((activations * gradients).sum(-1)))
    ('activations', 'gradients')

    Raises:
        ValueError: when a parameter without a default is not in `NEEDS`.
    """
    own = getattr(method, "needs", None)
    if own is not None:  # a method that has others inside knows what they need
        return tuple(own)
    found = []
    for name, parameter in inspect.signature(method).parameters.items():
        if name in NEEDS and parameter.kind is not parameter.POSITIONAL_ONLY:
            found.append(name)
        elif parameter.default is parameter.empty:
            known = "; ".join(f"{k}: {v}" for k, v in NEEDS.items())
            raise ValueError(
                f"method: {describe(method)} asks for {str(parameter)!r}, which no one can give it. A method's "
                f"parameters are keywords that name what it needs ({known}); its options are fields of a frozen "
                "dataclass."
            )
    return tuple(found)


def retargeted(method: Method, target: Any) -> Any:
    """The target that the method explains where `target` is asked for."""
    retarget = getattr(method, "retarget", None)
    return target if retarget is None else retarget(target)


def describe(method: Any) -> str:
    """A method's name for messages."""
    return getattr(method, "__name__", type(method).__name__)
