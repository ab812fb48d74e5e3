"""What an array's dimensions are made of: factors of the input's axes, followed through the program."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

# An axis is ("input", leaf, dimension), ("channel", number) or ("other", number), or a part or a rotation of
# one, ("cropped", axis, extent, start) or ("rolled", axis, extent, shift), which is no space axis.
Axis = tuple[Any, ...]

# How much is known about a dimension.
SPACE, CHANNEL, INPUT, OTHER = 3, 2, 1, 0


class Factor(NamedTuple):
    """`size` positions, `stride` apart, of an axis that is `extent` long at this resolution.

    A 14-pixel axis cut into 2 windows of 7 is the factors (2, stride 7) and (7, stride 1). `marked`
    follows one dimension through an equation. `core` is the extent that the axis had before the padding of
    a convolution made it longer, so that cutting the excess off gives the whole axis back; 0: it did not.
    """

    axis: Axis
    size: int
    stride: int
    extent: int
    marked: bool = False
    core: int = 0

    @property
    def whole(self) -> bool:
        """Whether it spans all of its axis, though perhaps more coarsely."""
        return self.stride * self.size == self.extent


class Dim(NamedTuple):
    """One dimension: its factors, major to minor, and how many positions stand `before` and `after` them."""

    factors: tuple[Factor, ...] = ()
    before: int = 0
    after: int = 0

    @property
    def grid(self) -> int:
        """How many positions the factors span."""
        return math.prod(f.size for f in self.factors)

    @property
    def size(self) -> int:
        """The dimension's length."""
        return self.before + self.grid + self.after

    @property
    def marked(self) -> bool:
        """Whether any factor is marked."""
        return any(f.marked for f in self.factors)


Layout = tuple[Dim, ...]


class Fresh:
    """A source of axes that are known to be nothing but themselves."""

    def __init__(self) -> None:
        self._count = 0

    def dim(self, size: int, kind: str = "other", marked: bool = False) -> Dim:
        """A dimension with an axis of its own; one of length 1 has no factors."""
        self._count += 1
        return Dim() if size == 1 else Dim((Factor((kind, self._count), size, 1, size, marked),))


def resized(dim: Dim, size: int, core: int = 0) -> Dim | None:
    """`dim` after what keeps its axis but changes its length; None where it is not one whole axis.

    What a convolution or a repetition has put between the positions (channels in space) makes the axis finer.
    """
    if dim.before or dim.after or not dim.factors or not dim.factors[0].whole:
        return None
    first, *finer = dim.factors
    if finer and (first.axis[0] != "input" or any(f.axis[0] not in ("channel", "other") for f in finer)):
        return None
    if first.axis[0] in ("cropped", "rolled") and size != first.extent:
        return None
    return Dim((Factor(first.axis, size, 1, size, dim.marked, core),))


def inside(dim: Dim, reach: int) -> Dim:
    """`dim` without what stands around its grid, if that is but padding to a window with this reach."""
    return dim._replace(before=0, after=0) if max(dim.before, dim.after) <= reach else dim


def merged(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """Joins neighbours that are the major and the minor part of one axis."""
    out: list[Factor] = []
    for f in factors:
        if (
            out
            and out[-1].axis == f.axis
            and out[-1].extent == f.extent
            and out[-1].stride == f.stride * f.size
            and out[-1].core == f.core
        ):
            last = out.pop()
            f = f._replace(size=f.size * last.size, marked=f.marked or last.marked)
        out.append(f)
    return tuple(out)


def reshaped(layout: Layout, shape: Sequence[int], fresh: Fresh) -> Layout:
    """The layout of a row-major reshape: factors are split and merged where the sizes allow it."""
    old = [dim for dim in layout if dim.size != 1]
    new = [i for i, n in enumerate(shape) if n != 1]
    out = {i: Dim() for i in range(len(shape))}
    if 0 in shape:
        return tuple(fresh.dim(n) for n in shape)
    while new:
        group_old, group_new = [old.pop(0)], [new.pop(0)]
        while (have := math.prod(d.size for d in group_old)) != (want := math.prod(shape[i] for i in group_new)):
            if have < want:
                group_old.append(old.pop(0))
            else:
                group_new.append(new.pop(0))
        if len(group_old) == len(group_new) == 1:
            out[group_new[0]] = group_old[0]
            continue
        sizes = [shape[i] for i in group_new]
        clean = not any(dim.before or dim.after for dim in group_old)
        parts = _dealt([f for dim in group_old for f in dim.factors], sizes) if clean else None
        marked = any(dim.marked for dim in group_old)
        for k, i in enumerate(group_new):
            out[i] = Dim(merged(parts[k])) if parts else fresh.dim(shape[i], marked=marked)
    if len(shape) == len(layout):  # a size-1 dimension that keeps its place keeps its (size-1) factors
        out.update({i: layout[i] for i, n in enumerate(shape) if n == 1 == layout[i].size})
    return tuple(out[i] for i in range(len(shape)))


def _dealt(factors: list[Factor], sizes: Sequence[int]) -> list[list[Factor]] | None:
    """Deals factors out to dimensions of these sizes, splitting them; None where the sizes do not divide."""
    queue, parts = list(factors), []
    for size in sizes:
        part: list[Factor] = []
        while size > 1:
            f = queue.pop(0)
            if size % f.size == 0:
                part.append(f)
                size //= f.size
            elif f.size % size == 0:
                minor = f.size // size
                part.append(f._replace(size=size, stride=f.stride * minor))
                queue.insert(0, f._replace(size=minor))
                size = 1
            else:
                return None
        parts.append(part)
    return parts


def mark(dim: Dim) -> Dim:
    """`dim` with all of its factors marked."""
    return dim._replace(factors=tuple(f._replace(marked=True) for f in dim.factors))
