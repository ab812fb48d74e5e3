"""How layouts pass through what only moves, selects or repeats entries."""

from __future__ import annotations

from collections.abc import Sequence

from jax.extend import core

from camjax.trace import _layout as lay
from camjax.trace import _pieces as pieces
from camjax.trace._follow import Follow, Rule, of_first, opaque
from camjax.trace._layout import Layout
from camjax.trace._program import Equation, shape_of


def _reshape(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    order = equation.params.get("dimensions")
    if order is not None:  # transposed first, as where a convolution is mapped
        layout = tuple(layout[i] for i in order)
    return lay.reshaped(layout, equation.outputs[0].shape, follow.fresh)


def _broadcast(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    shape = equation.params["shape"]
    dims = list(follow.unknown(shape))
    for source, target in enumerate(equation.params["broadcast_dimensions"]):
        if layout[source].size == shape[target]:
            dims[target] = layout[source]
    return tuple(dims)


def _transpose(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    return tuple(layout[i] for i in equation.params["permutation"])


def _squeeze(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    return tuple(d for i, d in enumerate(layout) if i not in equation.params["dimensions"])


def _rev(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    """A mirrored axis is another one."""
    turned = equation.params["dimensions"]
    return tuple(follow.fresh.dim(d.size, marked=d.marked) if i in turned else d for i, d in enumerate(layout))


def _slice(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    p = equation.params
    strides = p["strides"] or (1,) * len(layout)
    spans = zip(layout, p["start_indices"], p["limit_indices"], strides, strict=True)
    return tuple(pieces.windowed(d, a, b, s, follow.fresh) for d, a, b, s in spans)


def _dynamic_slice(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    """Starts that are no literals may be anywhere."""
    dims = []
    for dim, start, n in zip(layout, equation.inputs[1:], equation.params["slice_sizes"], strict=False):
        if n == dim.size:
            dims.append(dim)
        elif isinstance(start, core.Literal):
            first = min(max(int(start.val), 0), dim.size - n)  # as XLA clamps it
            dims.append(pieces.windowed(dim, first, first + n, 1, follow.fresh))
        else:
            dims.append(follow.fresh.dim(n, marked=dim.marked))
    return tuple(dims)


def _pad(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    """Padding lies outside of the grid; padding between positions makes their axis finer."""
    dims = []
    for dim, (low, high, inner) in zip(layout, equation.params["padding_config"], strict=True):
        n = dim.size + inner * max(dim.size - 1, 0)
        at: lay.Dim | None = dim if not inner else lay.resized(dim, n)
        if follow.rank(dim) == lay.CHANNEL and (low, high, inner) != (0, 0, 0):
            dims.append(follow.fresh.dim(n + low + high, "channel", dim.marked))
        elif at is None or n + min(low, 0) + min(high, 0) <= 0:
            dims.append(follow.fresh.dim(n + low + high, marked=dim.marked))
        else:
            cut = pieces.windowed(at, max(-low, 0), n + min(high, 0), 1, follow.fresh)
            dims.append(cut._replace(before=cut.before + max(low, 0), after=cut.after + max(high, 0)))
    return tuple(dims)


def _gather(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    """Whole slices keep their layout; what is indexed is lost, as the indices may be anything."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    dims = list(follow.unknown(equation.outputs[0].shape))
    gone = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    kept = [d for d in range(len(layout)) if d not in gone]
    for target, source in zip(numbers.offset_dims, kept, strict=True):
        if sizes[source] == layout[source].size:
            dims[target] = layout[source]
    return tuple(dims)


def _concatenate(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    (shape,), axis = [v.shape for v in equation.outputs], equation.params["dimension"]
    sizes = [shape_of(atom)[axis] for atom in equation.inputs]
    pairs = zip(layouts, sizes, strict=True)
    laid = [la[axis] if la is not None else follow.fresh.dim(n) for la, n in pairs if n]
    known = [la for la in layouts if la is not None]
    dims = [follow.join([la[i] for la in known], n) for i, n in enumerate(shape)]
    on_grid = [follow.rank(d) in (lay.SPACE, lay.INPUT) for d in laid]
    dims[axis] = pieces.concatenated(laid, on_grid, follow.fresh)
    return [tuple(dims)]


def _split(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    layout, axis, start, out = layouts[0], equation.params["axis"], 0, []
    if layout is None:
        return opaque(follow, equation, layouts)
    for size in equation.params["sizes"]:
        piece = pieces.windowed(layout[axis], start, start + size, 1, follow.fresh)
        out.append(tuple(piece if i == axis else d for i, d in enumerate(layout)))
        start += size
    return out


def _sort(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    """Along the sorted axis, positions are no longer what they were; several operands are sorted together."""
    out = []
    for value, layout in zip(equation.outputs, [*layouts, *layouts], strict=False):
        axis = equation.params.get("dimension", equation.params.get("axis", -1)) % len(value.shape)
        if layout is None:
            out.append(follow.unknown(value.shape))
            continue
        size, marked = value.shape[axis], layout[axis].marked
        lost = follow.fresh.dim(size, marked=marked)
        out.append(tuple(lost if i == axis else d for i, d in enumerate(layout)))
    return out


MOVES: dict[str, Rule] = {
    "reshape": of_first(_reshape),
    "broadcast_in_dim": of_first(_broadcast),
    "transpose": of_first(_transpose),
    "squeeze": of_first(_squeeze),
    "rev": of_first(_rev),
    "slice": of_first(_slice),
    "dynamic_slice": of_first(_dynamic_slice),
    "pad": of_first(_pad),
    "gather": of_first(_gather),
    "concatenate": _concatenate,
    "split": _split,
    "sort": _sort,
    "top_k": _sort,
}

# What an equation may leave unread of its operand, rather than sum or mix.
SELECTIONS = frozenset({"slice", "dynamic_slice", "gather", "split"})
