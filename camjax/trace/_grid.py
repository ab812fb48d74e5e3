"""Layouts of all values of a program, and how they become the `Axes` of a layer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence

from camjax._axes import Axes
from camjax.trace import _layout as lay
from camjax.trace._bodies import BODIES
from camjax.trace._follow import ELEMENTWISE, Follow, each, elementwise
from camjax.trace._layout import Dim, Factor, Layout
from camjax.trace._moves import MOVES, SELECTIONS
from camjax.trace._program import Equation, Program, Value
from camjax.trace._scopes import Uses
from camjax.trace._sums import SUMS

RULES = {
    **dict.fromkeys(ELEMENTWISE, elementwise),
    **dict.fromkeys(("optimization_barrier", "device_put"), each),
    **MOVES,
    **SUMS,
    **BODIES,
}


class Grids:
    """The layout of every value that depends on the model's input."""

    def __init__(self, program: Program, equations: Sequence[Equation], use: Uses) -> None:
        self.equations, self.use = equations, use
        self.follow = Follow(use, RULES)
        self.layouts: dict[Value, Layout] = {
            value: tuple(
                Dim() if d == 0 else Dim((Factor(("input", leaf, d), n, 1, n),)) for d, n in enumerate(value.shape)
            )
            for leaf, value in enumerate(program.inputs)
        }
        for _ in range(2):  # once to learn from the convolutions which of the input's axes are space
            for equation in equations:
                if not use.dependent.isdisjoint(equation.outputs):
                    out = self.follow(equation, self._inputs(equation))
                    self.layouts.update(zip(equation.outputs, out, strict=True))
            self.follow.space |= self.follow.apart - self.follow.channel  # frames are positions, colours are not
        self._carried: dict[tuple[int, Value, int], list[tuple[Value, int]]] = {}

    @property
    def known(self) -> bool:
        """Whether any convolution has said which axes are space."""
        return bool(self.follow.space)

    def dims(self, value: Value) -> list[int]:
        """The dimensions of a value that hold a part of the grid."""
        return [i for i, dim in enumerate(self.layouts[value]) if self.follow.is_space(dim)]

    def axes_of(self, value: Value) -> set[lay.Axis]:
        """The space axes of the input that a value carries, or parts of them."""
        return {f.axis for dim in self.layouts[value] for f in dim.factors if f.axis in self.follow.space}

    def carried(self, number: int, value: Value, dim: int) -> list[tuple[Value, int]]:
        """Where dimension `dim` of `value` goes in equation `number`: each result, and its dimension."""
        key = (number, value, dim)
        if key not in self._carried:
            self._carried[key] = self._mark(*key)
        return self._carried[key]

    def _mark(self, number: int, value: Value, dim: int) -> list[tuple[Value, int]]:
        equation = self.equations[number]
        layouts = self._inputs(equation)
        for i, atom in enumerate(equation.inputs):
            layout = layouts[i]
            if atom is value and layout is not None:
                layouts[i] = (*layout[:dim], lay.mark(layout[dim]), *layout[dim + 1 :])
        results = self.follow(equation, layouts)
        pairs = zip(equation.outputs, results, strict=True)
        return [(out, i) for out, layout in pairs for i, d in enumerate(layout) if d.marked]

    def live_dims(self, numbers: Collection[int]) -> set[tuple[Value, int]]:
        """The (value, grid dimension) pairs of which every position can influence the model's outputs.

        Only the equations `numbers` count as readers; -1 stands for being an output.

        A class-token model reads one token of its last block, whose patch tokens are therefore dead.
        """
        found: set[tuple[Value, int]] = set()
        for value in reversed(self.layouts):
            for dim in self.dims(value):
                if any(n in numbers and self._read(n, value, dim, found) for n in self.use.readers.get(value, ())):
                    found.add((value, dim))
        return found

    def _read(self, number: int, value: Value, dim: int, live: set[tuple[Value, int]]) -> bool:
        if number == -1:
            return True
        equation = self.equations[number]
        if equation.name == "gather" and equation.inputs[0] is value:  # fewer entries than there are: a selection
            return equation.outputs[0].aval.size >= value.aval.size
        goes = self.carried(number, value, dim)
        if not goes:  # contracted or reduced, unless what was selected lies outside of the grid
            return equation.name not in SELECTIONS
        # Where it goes to is no grid any more (it was mixed in a way that is not followed), it was read.
        return any((out, d) in live or not self.follow.is_space(self.layouts[out][d]) for out, d in goes)

    def axes(self, value: Value, bare: bool = False) -> Axes | None:
        """The `Axes` of a value on which the whole grid lies, once, beside channels only; otherwise None.

        `bare`: channels may be missing, as in the mean of a layer normalisation.
        """
        layout = self.layouts.get(value)
        if layout is None or not self.known:
            return None
        one = Factor(("other", 0), 1, 1, 1)
        found = [f for dim in layout for f in dim.factors or (one,)]
        space: dict[lay.Axis, list[int]] = {}
        channels: list[int] = []
        for i, f in enumerate(found):
            if f.axis in self.follow.space:
                space.setdefault(f.axis, []).append(i)
            elif self.follow.is_channel_axis(f.axis):
                channels.append(i)
            elif f.size != 1:
                return None
        leaves = {axis[1] for axis in space}
        wanted = sorted(axis for axis in self.follow.space if axis[1] in leaves)
        if len(leaves) != 1 or wanted != sorted(space) or not (channels or bare):
            return None
        if any(dim.before or dim.after for dim in layout if not self.follow.is_space(dim)):
            return None
        ordered = [_major_first(found, space[axis]) for axis in wanted]
        if not all(ordered):
            return None
        order = [i for ids in ordered for i in ids] + channels
        rest = [i for i in range(len(found)) if i not in order]
        return Axes(
            shape=tuple(d.size for d in layout),
            start=tuple(d.before for d in layout),
            stop=tuple(d.before + d.grid for d in layout),
            factors=tuple(tuple(f.size for f in dim.factors) or (1,) for dim in layout),
            order=(*rest, *order),
            grid=tuple(math.prod(found[i].size for i in ids) for ids in ordered),
            channels=math.prod(found[i].size for i in channels),
            leaf=leaves.pop(),
            input_dims=tuple(axis[2] for axis in wanted),
        )

    def channel_dim(self, value: Value) -> int | None:
        """The one dimension that is a channel axis and nothing else, if there is exactly one."""
        found = [i for i, dim in enumerate(self.layouts[value]) if self.follow.rank(dim) == lay.CHANNEL]
        pure = [i for i in found if len(self.layouts[value][i].factors) == 1]
        return pure[0] if len(found) == len(pure) == 1 else None

    def pure(self, value: Value) -> bool:
        """Whether no dimension mixes grid and channels."""
        return all(
            all(f.axis in self.follow.space for f in dim.factors)
            for dim in self.layouts[value]
            if self.follow.is_space(dim)
        )

    def _inputs(self, equation: Equation) -> list[Layout | None]:
        return [self.layouts.get(a) if isinstance(a, Value) else None for a in equation.inputs]


def _major_first(found: Sequence[Factor], ids: Sequence[int]) -> list[int]:
    """The factors of one axis in order, if together they span it, down to some resolution; else nothing."""
    ordered = sorted(ids, key=lambda i: -found[i].stride)
    chain = [found[i] for i in ordered]
    spans = len({f.extent for f in chain}) == 1 and chain[0].whole
    linked = all(a.stride == b.stride * b.size for a, b in itertools.pairwise(chain))
    return ordered if spans and linked else []
