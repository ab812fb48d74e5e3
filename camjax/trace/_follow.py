"""How each primitive carries the layout of its inputs to its outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jax.extend import core

from camjax.trace import _layout as lay
from camjax.trace._layout import Dim, Layout
from camjax.trace._program import Atom, Equation, Value
from camjax.trace._scopes import Uses

Rule = Callable[["Follow", Equation, Sequence[Layout | None]], Sequence[Layout]]


class Follow:
    """Layouts of values, and what the convolutions have said about the input's axes.

    Attributes:
        space: axes of the input that some convolution treats as space.
        channel: axes of the input that some convolution treats as channels.
        fresh: the source of axes that come from nowhere.
    """

    def __init__(self, use: Uses) -> None:
        self.use = use
        self.space: set[Any] = set()
        self.channel: set[Any] = set()
        self.fresh = lay.Fresh()

    def __call__(self, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
        """The layouts of an equation's outputs, given those of its inputs (None: independent of the model's input)."""
        rule = RULES.get(equation.name, _elementwise)
        return list(rule(self, equation, layouts))

    def rank(self, dim: Dim) -> int:
        """How much is known about a dimension."""
        if self.is_space(dim):
            return lay.SPACE
        if any(self.is_channel_axis(f.axis) for f in dim.factors):
            return lay.CHANNEL
        return lay.INPUT if any(f.axis[0] == "input" for f in dim.factors) else lay.OTHER

    def is_space(self, dim: Dim) -> bool:
        """Whether a dimension holds any part of a space axis."""
        return any(f.axis in self.space for f in dim.factors)

    def is_channel_axis(self, axis: Any) -> bool:
        """Whether an axis is one of channels."""
        return axis[0] == "channel" or axis in self.channel

    def weighted(self, atom: Atom) -> bool:
        """Whether an atom is computed from the model's parameters alone."""
        return isinstance(atom, Value) and bool(self.use.weights.get(atom))

    def unknown(self, shape: Sequence[int], marked: bool = False) -> Layout:
        """A layout of which nothing is known."""
        return tuple(self.fresh.dim(n, marked=marked) for n in shape)


def _shapes(equation: Equation) -> list[tuple[int, ...]]:
    return [v.shape for v in equation.outputs]


def _any_marked(layouts: Sequence[Layout | None]) -> bool:
    return any(d.marked for layout in layouts if layout for d in layout)


def _elementwise(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    """Same positions in, same positions out; axes of length 1 broadcast. Also the rule of unknown primitives
    whose operands broadcast to their result; of others nothing is known."""
    out = []
    for shape in _shapes(equation):
        known = [la for la in layouts if la is not None and len(la) == len(shape)]
        if any(d.size not in (1, n) for la in known for d, n in zip(la, shape, strict=True)) or not known:
            out.append(follow.unknown(shape, _any_marked(layouts)))
            continue
        dims = []
        for i, n in enumerate(shape):
            rivals = [la[i] for la in known if la[i].size == n]
            dims.append(lay.joined(rivals, [follow.rank(d) for d in rivals], n, follow.fresh))
        out.append(tuple(dims))
    return out


def _opaque(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    marked = _any_marked(layouts)
    return [follow.unknown(shape, marked) for shape in _shapes(equation)]


def _scan(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    """A carried value keeps its layout from one iteration to the next."""
    counts = equation.params
    n_consts = counts["num_consts"] if "num_consts" in counts else len(counts["ft_in"].unpack()[0])
    out = _opaque(follow, equation, layouts)
    for i, shape in enumerate(_shapes(equation)):
        carried = layouts[n_consts + i] if n_consts + i < len(layouts) else None
        if carried is not None and tuple(d.size for d in carried) == shape:
            out[i] = carried
    return out


def _convolution(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    """States which axes are space and which are channels; this is where the input's axes get their meaning."""
    (shape,), numbers, image = _shapes(equation), equation.params["dimension_numbers"], layouts[0]
    if image is None:
        return _opaque(follow, equation, layouts)
    (in_batch, in_feature, *in_space), (out_batch, out_feature, *out_space) = (
        numbers.lhs_spec,
        numbers.out_spec,
    )
    out = list(follow.unknown(shape))
    follow.channel.update(f.axis for f in image[in_feature].factors if f.axis[0] == "input")
    out[out_feature] = follow.fresh.dim(shape[out_feature], "channel")
    if image[in_batch].size == shape[out_batch]:
        out[out_batch] = image[in_batch]
    for i, o in zip(in_space, out_space, strict=True):
        dim = image[i]
        follow.space.update(f.axis for f in dim.factors if f.axis[0] == "input")
        out[o] = lay.resized(dim, shape[o]) or follow.fresh.dim(shape[o], marked=dim.marked)
    return [tuple(out)]


def _dot(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    """Batch dimensions, then the left operand's free ones, then the right's. A weight's free dimension is a
    channel axis; a constant matrix (an interpolation) keeps the axis that it contracts."""
    (shape,) = _shapes(equation)
    contracts, batches = equation.params["dimension_numbers"]
    lhs, rhs = layouts
    dims = []
    for i, j in zip(*batches, strict=True):
        both = [la[d] for la, d in ((lhs, i), (rhs, j)) if la is not None]
        dims.append(lay.joined(both, [follow.rank(d) for d in both], shape[len(dims)], follow.fresh))
    for side, other in ((0, 1), (1, 0)):
        mine, theirs, atom = layouts[side], layouts[other], equation.inputs[side]
        used = {*contracts[side], *batches[side]}
        free = [d for d in range(len(atom.aval.shape)) if d not in used]
        for d in free:
            n = shape[len(dims)]
            if mine is not None:
                dims.append(mine[d])
            elif follow.weighted(atom):
                dims.append(follow.fresh.dim(n, "channel"))
            else:
                contracted = [theirs[c] for c in contracts[other]] if theirs is not None else []
                single = contracted[0] if len(contracted) == len(free) == 1 else None
                kept = lay.resized(single, n) if single and follow.rank(single) != lay.CHANNEL else None
                dims.append(kept or follow.fresh.dim(n))
    return [tuple(dims)]


def _reshape(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    layout = layouts[0]
    shape = _shapes(equation)[0]
    return [lay.reshaped(layout, shape, follow.fresh) if layout is not None else follow.unknown(shape)]


def _of_first(change: Callable[[Follow, Equation, Layout], Layout]) -> Rule:
    """A rule that changes the layout of the first operand, the same for every result."""

    def rule(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
        if layouts[0] is None:
            return _opaque(follow, equation, layouts)
        return [change(follow, equation, layouts[0]) for _ in equation.outputs]

    return rule


def _broadcast(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    dims = list(follow.unknown(equation.params["shape"]))
    for source, target in enumerate(equation.params["broadcast_dimensions"]):
        if layout[source].size == equation.params["shape"][target]:
            dims[target] = layout[source]
    return tuple(dims)


def _transpose(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    return tuple(layout[i] for i in equation.params["permutation"])


def _squeeze(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    return tuple(d for i, d in enumerate(layout) if i not in equation.params["dimensions"])


def _reduce(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    return tuple(d for i, d in enumerate(layout) if i not in equation.params["axes"])


def _slice(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    p = equation.params
    strides = p["strides"] or (1,) * len(layout)
    spans = zip(layout, p["start_indices"], p["limit_indices"], strides, strict=True)
    return tuple(lay.windowed(d, a, b, s, follow.fresh) for d, a, b, s in spans)


def _dynamic_slice(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    dims = []
    for dim, start, n in zip(layout, equation.inputs[1:], equation.params["slice_sizes"], strict=True):
        if n == dim.size:
            dims.append(dim)
        elif isinstance(start, core.Literal):
            dims.append(lay.windowed(dim, int(start.val), int(start.val) + n, 1, follow.fresh))
        else:
            dims.append(lay.resized(dim, n) or follow.fresh.dim(n, marked=dim.marked))
    return tuple(dims)


def _pad(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    dims = []
    for dim, (low, high, inner) in zip(layout, equation.params["padding_config"], strict=True):
        n = dim.size + low + high + inner * max(dim.size - 1, 0)
        if (low, high, inner) == (0, 0, 0):
            dims.append(dim)
        elif not (dim.before or dim.after) and len(dim.factors) == 1:
            dims.append(lay.resized(dim, n) or dim)
        elif low >= 0 and high >= 0 and inner == 0:
            dims.append(dim._replace(before=dim.before + low, after=dim.after + high))
        else:
            dims.append(follow.fresh.dim(n, marked=dim.marked))
    return tuple(dims)


def _window(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    """Pooling: a dimension that the window spans changes its length."""
    dims = []
    for dim, n, w in zip(layout, _shapes(equation)[0], equation.params["window_dimensions"], strict=True):
        same = n == dim.size and w == 1
        dims.append(dim if same else lay.resized(dim, n) or follow.fresh.dim(n, marked=dim.marked))
    return tuple(dims)


def _gather(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    """Whole slices keep their layout; what is indexed is lost, as the indices may be anything."""
    numbers, sizes = equation.params["dimension_numbers"], equation.params["slice_sizes"]
    (shape,) = _shapes(equation)
    dims = list(follow.unknown(shape))
    gone = {*numbers.collapsed_slice_dims, *getattr(numbers, "operand_batching_dims", ())}
    kept = [d for d in range(len(layout)) if d not in gone]
    for target, source in zip(numbers.offset_dims, kept, strict=True):
        if sizes[source] == layout[source].size:
            dims[target] = layout[source]
    return tuple(dims)


def _sort(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    axis = equation.params.get("dimension", equation.params.get("axis", len(layout) - 1)) % len(layout)
    (shape, *_) = _shapes(equation)
    return tuple(
        follow.fresh.dim(shape[i], marked=d.marked) if i == axis else d for i, d in enumerate(layout)
    )


def _concatenate(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    (shape,), axis = _shapes(equation), equation.params["dimension"]
    dims = []
    for i, n in enumerate(shape):
        if i == axis:
            pieces = [
                la[i] if la is not None else follow.fresh.dim(atom.aval.shape[i])
                for la, atom in zip(layouts, equation.inputs, strict=True)
            ]
            dims.append(lay.concatenated(pieces, [follow.is_space(d) for d in pieces], follow.fresh))
        else:
            rivals = [la[i] for la in layouts if la is not None]
            dims.append(lay.joined(rivals, [follow.rank(d) for d in rivals], n, follow.fresh))
    return [tuple(dims)]


def _split(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    layout, axis, start, out = layouts[0], equation.params["axis"], 0, []
    if layout is None:
        return _opaque(follow, equation, layouts)
    for size in equation.params["sizes"]:
        piece = lay.windowed(layout[axis], start, start + size, 1, follow.fresh)
        out.append(tuple(piece if i == axis else d for i, d in enumerate(layout)))
        start += size
    return out


_REDUCTIONS = ["sum", "max", "min", "prod", "and", "or", "xor"]
RULES: dict[str, Rule] = {
    "conv_general_dilated": _convolution,
    "dot_general": _dot,
    "reshape": _reshape,
    "broadcast_in_dim": _of_first(_broadcast),
    "transpose": _of_first(_transpose),
    "squeeze": _of_first(_squeeze),
    **{f"reduce_{op}": _of_first(_reduce) for op in _REDUCTIONS},
    "argmax": _of_first(_reduce),
    "argmin": _of_first(_reduce),
    "slice": _of_first(_slice),
    "dynamic_slice": _of_first(_dynamic_slice),
    "pad": _of_first(_pad),
    **{f"reduce_window{op}": _of_first(_window) for op in ("", "_sum", "_max", "_min")},
    "gather": _of_first(_gather),
    "sort": _of_first(_sort),
    "top_k": _of_first(_sort),
    "concatenate": _concatenate,
    "split": _split,
    "scan": _scan,
    **dict.fromkeys(("fft", "cond", "while", "triangular_solve", "cholesky", "lu", "qr", "eigh"), _opaque),
}

# What an equation may leave unread of its operand, rather than sum or mix.
SELECTIONS = frozenset({"slice", "dynamic_slice", "gather", "split"})
