"""Where a value's channels go: into a product with a weight, out of the model, or elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from camjax.trace._grid import Grids
from camjax.trace._program import Equation, Value, live, reached, shape_of

_PRODUCTS = ("conv_general_dilated", "dot_general")


def contracted(value: Value, grids: Grids) -> bool:
    """Whether, wherever the channels go, what first sums over them is a product with a weight.

    Statistics over the channels (the mean and variance of a layer normalisation) are not counted, and neither
    is that they are handed out beside the class scores, as pooled features are.
    """
    return fates(value, grids) in ({"weighted"}, {"weighted", "output"})


def handed_out(value: Value, grids: Grids) -> bool:
    """Whether the channels leave the model as they are, as those of a model without a head do."""
    return fates(value, grids) == {"output"}


def fates(value: Value, grids: Grids) -> set[str]:
    """What becomes of the channels: "weighted" and "output", or "mixed": by numbers of the input, or in parts."""
    start = grids.channel_dim(value)
    if start is None:
        return {"mixed"}
    queue, seen, found = [(value, start)], {(value, start)}, set[str]()
    while queue and "mixed" not in found:
        at, dim = queue.pop()
        for number in grids.use.readers[at]:
            if number == -1:
                found.add("output")
                continue
            equation = grids.equations[number]
            if equation.name in _PRODUCTS and (verdict := _weight_sums(equation, at, dim, grids)) is not None:
                found.add("weighted" if verdict else "mixed")
                continue
            goes = grids.carried(number, at, dim)
            if equation.name in ("slice", "split", "gather") and any(v.shape[d] != at.shape[dim] for v, d in goes):
                found.add("mixed")
            new = [step for step in goes if step not in seen]
            seen.update(new)
            queue.extend(new)
    return found


def _weight_sums(equation: Equation, value: Value, dim: int, grids: Grids) -> bool | None:
    """Whether a product sums over `dim` of `value` with a weight; None where it does not sum over it."""
    if equation.name == "conv_general_dilated":
        if equation.inputs[0] is not value or equation.params["dimension_numbers"].lhs_spec[1] != dim:
            return None
        return equation.params["feature_group_count"] == 1 and grids.follow.weighted(equation.inputs[1])
    contracts = equation.params["dimension_numbers"][0]
    sides = [i for i, atom in enumerate(equation.inputs) if atom is value and dim in contracts[i]]
    return all(grids.follow.weighted(equation.inputs[1 - i]) for i in sides) if sides else None


def ends_in_classes(value: Value, equations: Sequence[Equation], grids: Grids) -> bool:
    """Whether `value` is made as a map of class scores is: by a 1x1 product that no learnt scale follows."""
    behind = live(equations, [value])
    products = [e for e in behind if e.name in _PRODUCTS and any(map(grids.follow.weighted, e.inputs))]
    if not products:
        return False
    last = products[-1]
    if last.name == "conv_general_dilated":
        spatial = last.params["dimension_numbers"].rhs_spec[2:]
        if any(shape_of(last.inputs[1])[d] != 1 for d in spatial):
            return False
    after = reached(behind, last.outputs)
    scales = [e for e in behind if e.name in ("mul", "div") and not after.isdisjoint(e.values)]
    return not any(grids.follow.weighted(atom) for e in scales for atom in e.inputs)
