"""Reading a store back: explanations by index, by name and by class, as they are asked for."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from camjax._explanation import Explanation
from camjax._validate import class_of
from camjax.dataset import _layout
from camjax.dataset._chunk import padded, text
from camjax.dataset._extra import need
from camjax.dataset._hold import running
from camjax.dataset._outcome import Outcome
from camjax.dataset._work import Progress

if TYPE_CHECKING:
    from jaxtyping import Int


class Failure(NamedTuple):
    """An example that could not be explained.

    Attributes:
        number: its index.
        name: its name.
        outcome: why.
        detail: the same in words.
    """

    number: int
    name: str
    outcome: Outcome
    detail: str


class Store:
    """A run's results, read from the disk when they are asked for. The run may still be going on.

    Attributes:
        path: where it is.
        description: what the run was asked, its attribute `camjax`.
        group: the Zarr group, for everything else.
    """

    def __init__(self, path: Path) -> None:
        import zarr

        self.path = path
        self.description = _layout.description(path)
        self.group: Any = zarr.open_group(path, mode="r")

    def __len__(self) -> int:
        return self.group[_layout.COMMIT].shape[0]

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, {len(self)} examples)"

    def __getitem__(self, which: int | str | slice | Sequence[int]) -> Explanation:
        """The explanations of one example, by index or name, or of several, with the batch axis first.

        What could not be explained is NaN; `outcome` says why. Heatmaps are there where the run kept them.

        Raises:
            KeyError: there is no such name.
            IndexError: there is no such index.
        """
        one = isinstance(which, int | np.integer | str)
        rows = self._rows(which)

        def read(name: str) -> Any:
            if name not in self.group:
                return None
            found = np.asarray(self.group[name].get_orthogonal_selection((rows,)))
            return found[0] if one else found

        raw, scale, heatmap = read("maps"), read("scale"), read("heatmap")
        raw = raw.astype(np.float32)
        if scale is not None:
            raw = raw * scale.reshape(*scale.shape, *[1] * (raw.ndim - scale.ndim))
        heatmap = None if heatmap is None else heatmap.astype(np.float32) / np.float32(255)
        return Explanation(heatmap, raw, read("weights"), read("score"), read("target"), read("status"))

    def find(self, name: str) -> int:
        """The index of the example with this name.

        Raises:
            KeyError: there is none.
        """
        if "name" not in self.group:
            if name.isascii() and name.isdigit() and int(name) < len(self):
                return int(name)
            raise KeyError(f"{name!r}: the examples of {self.path.name} have numbers only, to {len(self) - 1}.")
        names = self.group["name"]
        if len(name.encode(errors="surrogateescape")) <= names.shape[1]:
            wanted = padded(name, names.shape[1])
            for start in range(0, len(self), names.chunks[0]):
                found = np.flatnonzero((names[start : start + names.chunks[0]] == wanted).all(1))
                if found.size:
                    return start + int(found[0])
        raise KeyError(f"{name!r}: {self.path.name} has no example of this name.")

    def name(self, index: int) -> str:
        """An example's name; its index where it has none."""
        return text(self.group["name"][index]) if "name" in self.group else str(index)

    def outcome(self, index: int) -> tuple[Outcome, str]:
        """What became of an example, and for a failure the reason in words."""
        return Outcome(int(self.group[_layout.COMMIT][index])), text(self.group["detail"][index])

    def of_class(self, which: int | str, by: str = "prediction") -> Int[np.ndarray, " n"]:
        """The indices of the explained examples of a class: `by` prediction, label, or the first target.

        Raises:
            ValueError: there is no such class, or the run has no labels.
        """
        index = class_of(which, self.labels, "which") if isinstance(which, str) else which
        return np.flatnonzero(self.classes(by) == index)

    def classes(self, by: str) -> Int[np.ndarray, " N"]:
        """The class of each example; -1 where it has none or is not explained."""
        if by not in ("prediction", "label", "target") or by not in self.group:
            raise ValueError(f"by: got {by!r}, expected one of {', '.join(self._kinds())}.")
        array = self.group[by]
        found = array[:, 0] if array.ndim == 2 else array[:]
        return np.where(self.group[_layout.COMMIT][:] == Outcome.EXPLAINED, found, -1)

    def failures(self) -> Iterator[Failure]:
        """What could not be explained, in order."""
        array = self.group[_layout.COMMIT]
        for start in range(0, len(self), array.chunks[0]):
            outcomes = array[start : start + array.chunks[0]]
            for row in np.flatnonzero((outcomes != Outcome.EXPLAINED) & (outcomes != Outcome.WAITING)):
                index = start + int(row)
                yield Failure(index, self.name(index), *self.outcome(index))

    def progress(self) -> Progress:
        """How far the run is."""
        values, counts = np.unique(self.group[_layout.COMMIT][:], return_counts=True)
        return Progress(len(self), {Outcome(int(v)): int(n) for v, n in zip(values, counts, strict=True)}, 0, 0.0)

    @functools.cached_property
    def labels(self) -> tuple[str, ...] | None:
        """The classes' names, if they are known."""
        labels = self.description["about"]["labels"]
        return None if labels is None else tuple(labels)

    @property
    def running(self) -> bool:
        """Whether a process on this machine is writing it. Of others `written` tells."""
        return running(self.path)

    @property
    def written(self) -> float | None:
        """When the last chunk was written, by whatever machine: seconds since 1970, as the disk says; None: not yet."""
        times = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self.path / _layout.COMMIT / "c") as chunks:
            for chunk in chunks:
                with contextlib.suppress(FileNotFoundError):  # written this moment, and renamed
                    times.append(chunk.stat().st_mtime)
        return max(times, default=None)

    def _rows(self, which: Any) -> Any:
        if isinstance(which, str):
            which = self.find(which)
        rows = np.arange(len(self))[which]
        return np.atleast_1d(rows)

    def _kinds(self) -> list[str]:
        return [name for name in ("prediction", "label", "target") if name in self.group]


def open(path: str | Path) -> Store:
    """Opens what `run` wrote.

    Raises:
        ValueError: there is no store of camjax's there.
        ImportError: the extra `dataset` is not installed.
    """
    need()
    return Store(Path(path).absolute())
