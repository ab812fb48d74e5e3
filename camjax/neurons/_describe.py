"""An explanation in words: the channels that a score leans on, called by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Array, Float


class Neuron(NamedTuple):
    """One channel.

    Attributes:
        channel: its number.
        importance: its alpha_k.
        name: its name, or None.
    """

    channel: int
    importance: float
    name: str | None


class Description(NamedTuple):
    """What speaks for a score, and what against it; `str` makes a sentence of it.

    Attributes:
        pointed_to_by: the channels with the highest importance, those above zero, highest first.
        against: the channels with the lowest importance, those below zero, lowest first.
        target: what the score is about.
    """

    pointed_to_by: tuple[Neuron, ...]
    against: tuple[Neuron, ...]
    target: str = "the target"

    def __str__(self) -> str:
        return f"{self.target} is pointed to by: {_listed(self.pointed_to_by)}; against it: {_listed(self.against)}"


def describe(
    importance: Float[Array, " C"] | Any,
    names: Sequence[str | None] | Mapping[int, str] | None = None,
    *,
    k: int = 5,
    target: str = "the target",
) -> Description:
    """The k most and the k least important channels of one score, by their names.

    In the Grad-CAM paper (section 7, arXiv:1610.02391) the names of the five channels with the highest alpha_k, and of
    the five with the lowest, are a textual explanation: the concepts whose presence, or whose absence, the score asks
    for. Channels that pull the other way are left out: with fewer than k above zero, fewer are listed.

    Args:
        importance: `[C]`, as `camjax.neurons.importance` or `Explanation.weights` has them, for one example and one
            target; or the `Explanation` of one of these.
        names: a name or None for each of the C channels, such as `Dissection.names`; or a dict from a channel to its
            name. None: channels go by their number.
        k: how many at either end.
        target: what the score is about, for the sentence.

    Raises:
        ValueError: for importances of several examples, of an Explanation without weights, not finite; for names that
            are not as many as the channels; for a k that is not a positive int.

    Example:
        >>> text = describe(np.array([0.5, -0.2, 0.9, 0.1]), ["wheel", "grass", "wheel", None], target="car")
        >>> print(text)
        car is pointed to by: wheel (channels 2, 0), channel 3; against it: grass (channel 1)
        >>> text.pointed_to_by[0].channel
        2
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k: got {k!r}, expected a positive int, how many channels to list at either end.")
    alpha = _one(importance)
    called = _names(names, len(alpha))
    order = np.argsort(-alpha, kind="stable")  # of equals the first channel comes first

    def listed(channels: np.ndarray) -> tuple[Neuron, ...]:
        return tuple(Neuron(int(c), float(alpha[c]), called.get(int(c))) for c in channels)

    lowest = np.argsort(alpha, kind="stable")[:k]
    return Description(listed(order[:k][alpha[order[:k]] > 0]), listed(lowest[alpha[lowest] < 0]), target)


def _one(importance: Any) -> np.ndarray:
    weights, source = importance, "importance"
    if hasattr(importance, "weights"):
        weights, source = importance.weights, "importance: the Explanation"
        if weights is None:
            raise ValueError(
                "importance: the Explanation has no channel weights; explain with a method that has, such as "
                "camjax.GradCAM(), or use camjax.neurons.importance."
            )
    alpha = np.asarray(weights).astype(np.float64)
    if alpha.ndim == 0 or alpha.size != alpha.shape[-1] or alpha.size == 0:
        raise ValueError(
            f"{source} has weights of shape {list(alpha.shape)}, expected [C], those of one example and one target; "
            "choose one, for example weights[0], and describe it by itself."
        )
    if not np.isfinite(alpha).all():
        raise ValueError(f"{source} has weights that are not finite; Explanation.status says where.")
    return alpha.reshape(-1)


def _names(names: Any, channels: int) -> dict[int, str]:
    if names is None:
        return {}
    if isinstance(names, Mapping):
        wrong = [
            c for c in names if isinstance(c, bool) or not isinstance(c, int | np.integer) or not 0 <= c < channels
        ]
        if wrong:
            raise ValueError(
                f"names: {wrong[0]!r} is no channel; expected a dict from channels, 0 to {channels - 1}, to names."
            )
        return {int(c): name for c, name in names.items()}
    if isinstance(names, str) or len(names) != channels:
        got = repr(names) if isinstance(names, str) else f"{len(names)} names"
        raise ValueError(
            f"names: got {got} for {channels} channels; expected one each (None for a channel without a name), or a "
            "dict from channels to names. Were they made for another layer?"
        )
    return {c: name for c, name in enumerate(names) if name is not None}


def _listed(neurons: Sequence[Neuron]) -> str:
    # Channels of one name stand together, where the first of them is.
    groups: dict[str | int, list[int]] = {}
    for neuron in neurons:
        groups.setdefault(neuron.channel if neuron.name is None else neuron.name, []).append(neuron.channel)
    words = []
    for name, channels in groups.items():
        which = f"channel{'s' * (len(channels) > 1)} {', '.join(map(str, channels))}"
        words.append(which if isinstance(name, int) else f"{name} ({which})")
    return ", ".join(words) or "nothing"
