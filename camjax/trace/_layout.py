"""What an array's dimensions are made of: factors of the input's axes, followed through the program."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import NamedTuple


class Factor(NamedTuple):
    """`size` positions, `stride` apart, of an axis that is `extent` long at this resolution.

    A 14-pixel axis cut into 2 windows of 7 is the factors (2, stride 7) and (7, stride 1). `marked`
    follows one dimension through an equation.
    """

    axis: Hashable
    size: int
    stride: int
    extent: int
    marked: bool = False


class Dim(NamedTuple):
    """One dimension: its factors, major to minor, between `before` and `after` positions that are no part of them."""

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


def resized(dim: Dim, size: int) -> Dim | None:
    """`dim` after an operation that keeps its one axis but changes its length; None where it has not one axis."""
    if dim.before or dim.after or len(dim.factors) != 1:
        return None
    return Dim((dim.factors[0]._replace(size=size, stride=1, extent=size),))


def merged(factors: Sequence[Factor]) -> tuple[Factor, ...]:
    """Joins neighbours that are the major and the minor part of one axis."""
    out: list[Factor] = []
    for f in factors:
        if (
            out
            and out[-1].axis == f.axis
            and out[-1].extent == f.extent
            and out[-1].stride == f.stride * f.size
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
    while new:
        group_old, group_new = [old.pop(0)], [new.pop(0)]
        while (have := math.prod(d.size for d in group_old)) != (
            want := math.prod(shape[i] for i in group_new)
        ):
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


def windowed(dim: Dim, start: int, stop: int, step: int, fresh: Fresh) -> Dim:
    """The positions `start:stop:step` of a dimension."""
    size = len(range(start, stop, step))
    if size == dim.size:
        return dim
    if not (dim.before or dim.after):
        return resized(dim, size) or fresh.dim(size, marked=dim.marked)
    end = dim.before + dim.grid
    if step == 1 and start <= dim.before and stop >= end:
        return dim._replace(before=dim.before - start, after=stop - end)
    touches = start < end and stop > dim.before
    return fresh.dim(
        size, marked=dim.marked and touches
    )  # class token alone: the grid, and its mark, are gone


def concatenated(dims: Sequence[Dim], is_space: list[bool], fresh: Fresh) -> Dim:
    """Dimensions laid end to end; `is_space[i]` says which of them hold a part of the grid."""
    total, marked = sum(d.size for d in dims), any(d.marked for d in dims)
    if sum(is_space) == 1:
        i = is_space.index(True)
        before, after = sum(d.size for d in dims[:i]), sum(d.size for d in dims[i + 1 :])
        return dims[i]._replace(before=before + dims[i].before, after=after + dims[i].after)
    if any(is_space):  # pieces of one axis, as `jnp.roll` makes them
        axes = {f.axis for d in dims for f in d.factors}
        whole = resized(dims[0], total) if len(axes) == 1 and all(resized(d, 1) for d in dims) else None
        return Dim((whole.factors[0]._replace(marked=marked),)) if whole else fresh.dim(total, marked=marked)
    kind = (
        "channel"
        if any(f.axis[0] == "channel" for d in dims for f in d.factors if isinstance(f.axis, tuple))
        else "other"
    )
    return fresh.dim(total, kind, marked)


def joined(dims: Sequence[Dim], rank: Sequence[int], size: int, fresh: Fresh) -> Dim:
    """One dimension of an elementwise result; `rank[i]` says how much is known about `dims[i]`."""
    if not dims:
        return fresh.dim(size)
    best = max(range(len(dims)), key=lambda i: rank[i])
    marked = any(d.marked for d in dims)
    rivals = [d for d, r in zip(dims, rank, strict=True) if r == rank[best]]
    if rank[best] == SPACE and any(unmarked(d) != unmarked(dims[best]) for d in rivals):
        return fresh.dim(size, marked=marked)  # two different grids added up: neither is known any more
    return dims[best]._replace(factors=tuple(f._replace(marked=marked) for f in dims[best].factors))


SPACE, CHANNEL, INPUT, OTHER = 3, 2, 1, 0


def unmarked(dim: Dim) -> Dim:
    """`dim` without marks."""
    return dim._replace(factors=tuple(f._replace(marked=False) for f in dim.factors))


def mark(dim: Dim) -> Dim:
    """`dim` with all of its factors marked."""
    return dim._replace(factors=tuple(f._replace(marked=True) for f in dim.factors))
