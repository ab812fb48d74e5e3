"""How layouts pass through what sums over axes: convolutions, products, reductions and pooling."""

from __future__ import annotations

from collections.abc import Sequence

from camjax.trace import _layout as lay
from camjax.trace._follow import Follow, Rule, of_first, opaque
from camjax.trace._layout import Dim, Layout
from camjax.trace._program import Equation, shape_of


def _convolution(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    """States which axes are space and which are channels: here the input's axes get their meaning."""
    (shape,), image, p = [v.shape for v in equation.outputs], layouts[0], equation.params
    if image is None or p["batch_group_count"] != 1:
        return opaque(follow, equation, layouts)
    numbers = p["dimension_numbers"]
    (in_batch, in_feature, *in_space), (out_batch, out_feature, *out_space) = (
        numbers.lhs_spec,
        numbers.out_spec,
    )
    kernel = [shape_of(equation.inputs[1])[d] for d in numbers.rhs_spec[2:]]
    out = list(follow.unknown(shape))
    follow.channel.update(f.axis for f in image[in_feature].factors if f.axis[0] == "input")
    follow.apart.update(f.axis for f in image[in_batch].factors if f.axis[0] == "input")
    out[out_feature] = follow.fresh.dim(shape[out_feature], "channel")
    if image[in_batch].size == shape[out_batch]:
        out[out_batch] = image[in_batch]
    collapsed = all(shape[o] == 1 for o in out_space) and any(image[i].size != 1 for i in in_space)
    for k, (i, o) in enumerate(zip(in_space, out_space, strict=True)):
        follow.space.update(f.axis for f in image[i].factors if f.axis[0] == "input")
        if collapsed:  # the kernel spans the whole grid: a matrix product
            out[o] = Dim()
            continue
        dim = lay.inside(image[i], (kernel[k] - 1) * p["rhs_dilation"][k])
        steps = p["window_strides"][k] == p["lhs_dilation"][k] == 1
        longer = steps and shape[o] > dim.size
        core = max(f.core for f in dim.factors) or dim.size if longer and dim.factors else 0
        stays = dim if steps and shape[o] == dim.grid == dim.size else None  # in a window, a part of an axis
        out[o] = lay.resized(dim, shape[o], core) or stays or follow.fresh.dim(shape[o], marked=image[i].marked)
    return [tuple(out)]


def _dot(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    """Batch dimensions, then the left operand's free ones, then the right's.

    A weight's free dimension is a channel axis; a matrix of mere numbers that changes the length (an
    interpolation) keeps the axis that it contracts. A square one may mirror, or be a Fourier transform.
    """
    (shape,) = (v.shape for v in equation.outputs)
    contracts, batches = equation.params["dimension_numbers"]
    lhs, rhs = layouts
    dims: list[Dim] = []
    for i, j in zip(*batches, strict=True):
        both = [la[d] for la, d in ((lhs, i), (rhs, j)) if la is not None]
        dims.append(follow.join(both, shape[len(dims)]))
    for side, other in ((0, 1), (1, 0)):
        mine, theirs, atom = layouts[side], layouts[other], equation.inputs[side]
        used = {*contracts[side], *batches[side]}
        free = [d for d in range(len(shape_of(atom))) if d not in used]
        for d in free:
            n = shape[len(dims)]
            if mine is not None:
                dims.append(mine[d])
            elif follow.weighted(atom):
                dims.append(follow.fresh.dim(n, "channel"))
            else:
                contracted = [theirs[c] for c in contracts[other]] if theirs is not None else []
                single = contracted[0] if len(contracted) == len(free) == 1 else None
                resizes = single is not None and single.size != n and follow.rank(single) != lay.CHANNEL
                kept = lay.resized(single, n) if single is not None and resizes else None
                dims.append(kept or follow.fresh.dim(n))
    return [tuple(dims)]


def _reduce(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    return tuple(d for i, d in enumerate(layout) if i not in equation.params["axes"])


def _window(follow: Follow, equation: Equation, layout: Layout) -> Layout:
    """Pooling: a dimension that the window spans changes its length; one window over everything is a mean."""
    p, shape = equation.params, equation.outputs[0].shape
    pooled = [i for i, w in enumerate(p["window_dimensions"]) if w > 1]
    collapsed = all(n == 1 for i, n in enumerate(shape) if i in pooled or follow.is_space(layout[i]))
    dims = []
    for i, (dim, n, w) in enumerate(zip(layout, shape, p["window_dimensions"], strict=True)):
        if i in pooled and collapsed:
            dims.append(Dim())
        elif w == 1 and n == dim.size:
            dims.append(dim)
        else:
            core = lay.inside(dim, (w - 1) * p["window_dilation"][i])
            dims.append(lay.resized(core, n) or follow.fresh.dim(n, marked=dim.marked))
    return tuple(dims)


SUMS: dict[str, Rule] = {
    "conv_general_dilated": _convolution,
    "dot_general": _dot,
    **{f"reduce_{op}": of_first(_reduce) for op in ("sum", "max", "min", "prod", "and", "or", "xor")},
    "argmax": of_first(_reduce),
    "argmin": of_first(_reduce),
    **{f"reduce_window{op}": of_first(_window) for op in ("", "_sum", "_max", "_min")},
}
