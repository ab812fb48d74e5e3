"""What becomes of a dimension that is cut, laid end to end with others, or added to others."""

from __future__ import annotations

from collections.abc import Sequence

from camjax.trace._layout import INPUT, SPACE, Dim, Factor, Fresh, mark


def windowed(dim: Dim, start: int, stop: int, step: int, fresh: Fresh) -> Dim:
    """The positions `start:stop:step` of a dimension."""
    size = len(range(start, stop, step))
    if size == dim.size:
        return dim
    if dim.before or dim.after:
        end = dim.before + dim.grid
        if step == 1 and start <= dim.before and stop >= end:
            return dim._replace(before=dim.before - start, after=stop - end)
        touches = start < end and stop > dim.before
        return fresh.dim(size, marked=dim.marked and touches)  # a class token alone: the grid and its mark are gone
    if len(dim.factors) != 1 or not dim.factors[0].whole:
        return fresh.dim(size, marked=dim.marked)
    factor = dim.factors[0]
    everywhere = step > 1 and start < step and start + size * step >= dim.size
    if factor.axis[0] == "channel" or size == factor.core or everywhere:
        return Dim((Factor(factor.axis, size, 1, size, dim.marked),))
    if step > 1:
        return fresh.dim(size, marked=dim.marked)
    return Dim((Factor(("cropped", factor.axis, dim.size, start), size, 1, size, dim.marked),))


def concatenated(dims: Sequence[Dim], on_grid: Sequence[bool], fresh: Fresh) -> Dim:
    """Dimensions laid end to end; `on_grid[i]` says which of them hold a part of the grid."""
    if (whole := _together(dims)) is not None:
        return whole
    total, marked = sum(d.size for d in dims), any(d.marked for d in dims)
    if sum(on_grid) == 1:
        i = list(on_grid).index(True)
        before, after = sum(d.size for d in dims[:i]), sum(d.size for d in dims[i + 1 :])
        whole = dims[i]._replace(before=before + dims[i].before, after=after + dims[i].after)
        return mark(whole) if any(d.marked for d in (*dims[:i], *dims[i + 1 :])) else whole
    channels = not any(on_grid) and any(f.axis[0] == "channel" for d in dims for f in d.factors)
    return fresh.dim(total, "channel" if channels else "other", marked)


def _together(dims: Sequence[Dim]) -> Dim | None:
    """The whole axis of which `dims` are all the pieces, in order, or rotated as `jnp.roll` leaves them."""
    pieces = [d.factors[0] for d in dims if len(d.factors) == 1 and not (d.before or d.after)]
    if len(pieces) != len(dims) or any(p.axis[0] != "cropped" or p.size != p.extent for p in pieces):
        return None
    _, axis, extent, first = pieces[0].axis
    at = first
    for piece in pieces:
        if piece.axis != ("cropped", axis, extent, at % extent):
            return None
        at += piece.size
    if at - first != extent:
        return None
    if first and axis[0] == "rolled":
        axis, first = axis[1], (first + axis[3]) % extent
    rolled = ("rolled", axis, extent, first) if first else axis
    return Dim((Factor(rolled, extent, 1, extent, any(p.marked for p in pieces)),))


def joined(dims: Sequence[Dim], rank: Sequence[int], size: int, fresh: Fresh) -> Dim:
    """One dimension of an elementwise result; `rank[i]` says how much is known about `dims[i]`.

    Where the same axes of two inputs meet, position by position, those of the first input speak for both; whole axes
    speak for what was put together of parts that belong to none (one query for all windows).
    """
    if not dims:
        return fresh.dim(size)
    marked = any(d.marked for d in dims)
    rivals = [d for d, r in zip(dims, rank, strict=True) if r == max(rank)]
    best = rivals[0]
    if max(rank) in (SPACE, INPUT):
        best = min(rivals, key=lambda d: [f.axis[1:2] for f in d.factors if f.axis[0] == "input"])
    if max(rank) == SPACE and any(_aligned(d) != _aligned(best) for d in rivals):
        whole = [d for d in rivals if d.grid == size and _whole(d)]
        if len({_aligned(d) for d in whole}) != 1:
            return fresh.dim(size, marked=marked)  # two different grids added up: neither is known any more
        best = whole[0]
    return best._replace(factors=tuple(f._replace(marked=marked) for f in best.factors))


def _whole(dim: Dim) -> bool:
    """Whether `dim` is made of axes of the input, each of them there once, and all of it."""
    known = all(f.whole and f.axis[0] == "input" for f in dim.factors)
    return known and len({f.axis for f in dim.factors}) == len(dim.factors)


def _aligned(dim: Dim) -> Dim:
    """`dim` without marks, the same for the same axis of every input, and for whole axes at whatever stride."""
    factors = tuple(
        Factor(
            ("input", *f.axis[2:]) if f.axis[0] == "input" else f.axis,
            f.size,
            *((1, f.size) if f.whole else (f.stride, f.extent)),
        )
        for f in dim.factors
    )
    return dim._replace(factors=factors)
