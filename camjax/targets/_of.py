"""What targets share that are made from another target."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Self

from camjax._target import Logit, Target, Top, as_target, register_target

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Int


@register_target(["of"], [])
@dataclasses.dataclass(frozen=True)
class Of(Target):
    """A target made from another: all but the score is the other's."""

    of: Any

    @property
    def count(self) -> int:
        """K."""
        return self.of.count

    @property
    def complaint(self) -> str:
        """What `bad` says."""
        return self.of.complaint

    @property
    def softmax(self) -> str:
        """The other's."""
        return self.of.softmax

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With names turned into indices."""
        of, keep = as_target(self.of, labels, batch)
        return dataclasses.replace(self, of=of), keep

    def resolve(self, outputs: Any) -> Self:
        """With the classes that the outputs decide."""
        return dataclasses.replace(self, of=self.of.resolve(outputs))

    def class_index(self) -> Int[Array, ""] | int:
        """The class."""
        return self.of.class_index()

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        """Whether the class is out of range."""
        return self.of.bad(outputs)


class OfClass(Of):
    """A target made from classes; from nothing else."""

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With names turned into indices."""
        of, keep = as_target(self.of, labels, batch)
        if not isinstance(of, Logit | Top):
            raise ValueError(
                f"target: {type(self).__name__.lower()}() takes classes (indices, names, top(k) or None for the "
                f"predicted class), got {self.of!r}; for anything else write a function of the outputs."
            )
        return dataclasses.replace(self, of=of), keep
