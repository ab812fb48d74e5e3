"""What a model's layers are called, and which of them can be explained."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import overload

from camjax._axes import Axes

BESIDE = "other maps reach the outputs beside it"
"""The note of a default layer that is not all the maps that the score is computed from."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """One addressable value of a model.

    Attributes:
        name: what `layer=` takes. A scope that is called several times gives `name#0`, `name#1`; one from
            which several values come, `name:0`, `name:1`; iteration 3 of a scan gives `name[3]`; a value that
            is made after a scope, and in none, `after:name`.
        aliases: other names of the same value.
        shape: its shape for a batch of one example.
        axes: which of its axes are space and which channels; None where it carries no whole grid.
        default: whether it is explained when no layer is named.
        note: what else there is to know: it computes nothing, bypasses a custom derivative, or (of the default
            layer) other maps reach the outputs beside it.
    """

    name: str
    aliases: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()
    axes: Axes | None = None
    default: bool = False
    note: str = ""


class Layers(Sequence[Layer]):
    """The layers of a model, in the order in which they are computed; prints as a table.

    Index it by number or by name:

        >>> stage = Layer("stage1", aliases=("stage1.relu",), shape=(1, 4, 4, 8))
        >>> layers = Layers([Layer("stem", shape=(1, 8, 8, 4)), stage])
        >>> layers["stage1.relu"].shape
        (1, 4, 4, 8)
        >>> layers["stagel"]
        Traceback (most recent call last):
            ...
        ValueError: layer: no layer is called 'stagel'; the closest are 'stage1', 'stage1.relu', ...
    """

    def __init__(self, rows: Sequence[Layer], sealed: Mapping[str, str] | None = None) -> None:
        self._rows = tuple(rows)
        self._sealed = dict(sealed or {})  # scopes that cannot be opened, and what they lie in
        self._named = {name: row for row in self._rows for name in (row.name, *row.aliases)}

    @overload
    def __getitem__(self, key: int | str) -> Layer: ...
    @overload
    def __getitem__(self, key: slice) -> Layers: ...
    def __getitem__(self, key: int | str | slice) -> Layer | Layers:
        if isinstance(key, slice):
            return Layers(self._rows[key], self._sealed)
        return self.named(key) if isinstance(key, str) else self._rows[key]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._rows)

    @property
    def default(self) -> Layer | None:
        """The layer that is explained when none is named."""
        return next((row for row in self._rows if row.default), None)

    def named(self, name: str) -> Layer:
        """The layer called `name`; `/` and `.` are the same.

        Raises:
            ValueError: when there is none, or more than one, when it computes nothing, or cannot be reached.
        """
        wanted = name.replace("/", ".")
        names = self._named
        if wanted in names:
            row = names[wanted]
            if not row.shape:
                raise ValueError(f"layer: {name!r} {row.note}; name the layer before it.{self._hint()}")
            return row
        several = [n for n in names if bare(n) == wanted]
        if several:
            raise ValueError(
                f"layer: {name!r} is ambiguous, it stands for {len(several)} values: {_quoted(several)}. "
                "Name one of them."
            )
        if bare(wanted) in self._sealed:
            raise ValueError(
                f"layer: {name!r} is inside {self._sealed[bare(wanted)]}, which is not opened, so it has no "
                "one value to explain. Write a loop with jax.lax.scan or in Python, a choice in Python; or "
                f"name a layer outside of it.{self._hint()}"
            )
        close = difflib.get_close_matches(wanted, names, n=4, cutoff=0.0)
        raise ValueError(
            f"layer: no layer is called {name!r}; the closest are {_quoted(close)}.{self._hint()} "
            "camjax.layers(model, x) lists them all."
        )

    def _hint(self) -> str:
        return f" The default is {self.default.name!r}." if self.default else ""

    def __repr__(self) -> str:
        head = ("", "layer", "shape", "axes", "note")
        rows = [("*" if r.default else "", r.name, _shape(r), str(r.axes or ""), _note(r)) for r in self._rows]
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
        ]
        return "\n".join(lines)


def bare(name: str) -> str:
    """A name without the marks that tell calls, outputs and iterations apart."""
    prefix, name = ("after:", name[6:]) if name.startswith("after:") else ("", name)
    return prefix + name.split("[")[0].split(":")[0].split("#")[0]


def _quoted(names: Sequence[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _shape(row: Layer) -> str:
    return "x".join(map(str, row.shape))


def _note(row: Layer) -> str:
    shown = ", ".join(row.aliases[:3]) + (", ..." if len(row.aliases) > 3 else "")
    also = f"also {shown}" if row.aliases else ""
    return "; ".join(part for part in (row.note, also) if part)
