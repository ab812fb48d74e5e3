"""What the channels of a layer see, as `dissect` found it."""

from __future__ import annotations

import dataclasses
import difflib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float


@dataclasses.dataclass(frozen=True, eq=False)
class Dissection:
    """How well each concept describes each channel; arrays in NumPy.

    Attributes:
        concepts: the names of the concepts.
        iou: `[C, concepts]`, the overlap of where a channel is active and where the concept is, 0 to 1.
        thresholds: `[C]`, above which a channel counts as active.
        least: the overlap above which a concept names a channel.
    """

    concepts: tuple[str, ...]
    iou: Float[np.ndarray, "C concepts"]
    thresholds: Float[np.ndarray, " C"]
    least: float = 0.04

    @property
    def best(self) -> tuple[str, ...]:
        """The concept that overlaps most with each channel, however little; the first of equals."""
        return tuple(self.concepts[c] for c in self.iou.argmax(1))

    @property
    def names(self) -> tuple[str | None, ...]:
        """The same where the overlap is above `least`, else None: what `describe` takes."""
        top = self.iou.max(1)
        return tuple(name if best > self.least else None for name, best in zip(self.best, top, strict=True))

    def channels(self, name: str) -> tuple[int, ...]:
        """The channels with this name, the best first; none where no channel has it.

        Raises:
            ValueError: when no concept is called so.
        """
        if name not in self.concepts:
            close = difflib.get_close_matches(name, self.concepts, 3, 0.5) or list(self.concepts[:3])
            raise ValueError(
                f"name: no concept is called {name!r}; did you mean {' or '.join(map(repr, close))}? "
                f"There are {len(self.concepts)}."
            )
        number, names = self.concepts.index(name), self.names
        return tuple(int(k) for k in np.argsort(-self.iou[:, number], kind="stable") if names[k] == name)

    def __repr__(self) -> str:
        """The named channels, concept by concept."""
        found = {name: self.channels(name) for name in self.concepts}
        named = sum(map(len, found.values()))
        head = f"{named} of {len(self.iou)} channels have a name (IoU > {self.least:g})"
        rows = [
            f"  {name}: " + ", ".join(f"{k} ({self.iou[k, self.concepts.index(name)]:.2f})" for k in channels)
            for name, channels in found.items()
            if channels
        ]
        return "\n".join([head, *rows])
