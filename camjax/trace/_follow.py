"""How the layout of its inputs determines that of an equation's outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from camjax.trace import _layout as lay
from camjax.trace._layout import Dim, Layout
from camjax.trace._pieces import joined
from camjax.trace._program import Atom, Equation, Value
from camjax.trace._scopes import Uses

Rule = Callable[["Follow", Equation, Sequence[Layout | None]], Sequence[Layout]]


class Follow:
    """Layouts of values, and what the convolutions have said about the input's axes.

    Attributes:
        use: who reads what, in the program that is followed.
        space: axes of the input that some convolution treats as space.
        channel: axes of the input that some convolution treats as channels.
        apart: axes of the input along which some convolution maps, such as a film's frames.
        fresh: the source of axes that come from nowhere.
        bodies: what the bodies of loops and opaque calls look like, by their equation.
    """

    def __init__(self, use: Uses, rules: dict[str, Rule]) -> None:
        self.use, self.rules = use, rules
        self.space: set[lay.Axis] = set()
        self.channel: set[lay.Axis] = set()
        self.apart: set[lay.Axis] = set()
        self.fresh = lay.Fresh()
        self.bodies: dict[Any, Any] = {}

    def within(self, use: Uses) -> Follow:
        """The same knowledge of axes, for a program that stands inside of this one."""
        inner = Follow(use, self.rules)
        inner.space, inner.channel, inner.apart, inner.fresh, inner.bodies = (
            self.space,
            self.channel,
            self.apart,
            self.fresh,
            self.bodies,
        )
        return inner

    def __call__(self, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
        """The layouts of an equation's outputs, given those of its inputs (None: computed from no input).

        Of a primitive that has no rule nothing is known: no layout is better than a wrong one.
        """
        return list(self.rules.get(equation.name, opaque)(self, equation, layouts))

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

    def is_channel_axis(self, axis: lay.Axis) -> bool:
        """Whether an axis is one of channels."""
        return axis[0] == "channel" or axis in self.channel

    def weighted(self, atom: Atom) -> bool:
        """Whether an atom is computed from the model's parameters, or the arrays that it captured, alone."""
        return isinstance(atom, Value) and bool(self.use.weights.get(atom))

    def unknown(self, shape: Sequence[int], marked: bool = False) -> Layout:
        """A layout of which nothing is known."""
        return tuple(self.fresh.dim(n, marked=marked) for n in shape)

    def join(self, dims: Sequence[Dim], size: int) -> Dim:
        """One dimension of what is computed from `dims` position by position."""
        return joined(dims, [self.rank(d) for d in dims], size, self.fresh)


def opaque(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    """Nothing is known."""
    marked = any(d.marked for layout in layouts if layout for d in layout)
    return [follow.unknown(v.shape, marked) for v in equation.outputs]


def elementwise(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    """Same positions in, same positions out; axes of length 1 broadcast, and so do scalars."""
    (shape,) = (v.shape for v in equation.outputs)
    known = [la for la in layouts if la is not None and len(la) == len(shape)]
    if any(d.size not in (1, n) for la in known for d, n in zip(la, shape, strict=True)) or not known:
        return opaque(follow, equation, layouts)
    rivals = [[la[i] for la in known if la[i].size == n] for i, n in enumerate(shape)]
    return [tuple(follow.join(dims, n) for dims, n in zip(rivals, shape, strict=True))]


def each(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
    """Every operand is handed through."""
    pairs = zip(equation.outputs, layouts, strict=True)
    return [layout if layout is not None else follow.unknown(v.shape) for v, layout in pairs]


def of_first(change: Callable[[Follow, Equation, Layout], Layout]) -> Rule:
    """A rule that changes the layout of the first operand, the same for every result."""

    def rule(follow: Follow, equation: Equation, layouts: Sequence[Layout | None]) -> list[Layout]:
        if layouts[0] is None:
            return opaque(follow, equation, layouts)
        return [change(follow, equation, layouts[0]) for _ in equation.outputs]

    return rule


# Computed position by position, or along an axis of which every position keeps its place.
_NAMES = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp clz
    complex conj convert_element_type copy copy_p cos cosh cumlogsumexp cummax cummin cumprod cumsum digamma
    div eq erf erf_inv erfc exp exp2 expm1 floor ge gt igamma igammac imag integer_pow is_finite le lgamma
    log log1p logistic lt max min mul ne neg nextafter not or polygamma population_count pow real
    reduce_precision rem round rsqrt select_n shift_left shift_right_arithmetic shift_right_logical
    sharding_constraint sign sin sinh sqrt square stop_gradient sub tan tanh xor zeta
"""
ELEMENTWISE = tuple(_NAMES.split())
