"""Arguments for convolution and pooling: random sizes, strides, paddings, dilations, groups."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.adapters.torch.cases._draw import Case, tensor

SMALL = st.integers(1, 3)


def _values(draw, axes, strategy):
    """One number per axis, or, as torch allows, one for all of them."""
    if draw(st.booleans()):
        return [draw(strategy)]
    return [draw(strategy) for _ in range(axes)]


@st.composite
def conv(draw, axes: int, words: bool = False):
    groups, per_in, per_out = draw(SMALL), draw(SMALL), draw(SMALL)
    kernel = [draw(SMALL) for _ in range(axes)]
    x = draw(tensor(draw(SMALL), groups * per_in, *(draw(st.integers(5, 8)) for _ in range(axes))))
    weight = draw(tensor(groups * per_out, per_in, *kernel))
    bias = draw(st.one_of(st.none(), tensor(groups * per_out)))
    padding = draw(st.sampled_from(["same", "valid"])) if words else _values(draw, axes, st.integers(0, 2))
    stride = [1] if words else _values(draw, axes, SMALL)
    return (x, weight, bias, stride, padding, _values(draw, axes, st.integers(1, 2)), groups), {}


@st.composite
def transposed(draw, axes: int):
    groups, per_in, per_out = draw(SMALL), draw(SMALL), draw(SMALL)
    kernel = [draw(st.integers(2, 3)) for _ in range(axes)]
    x = draw(tensor(draw(SMALL), groups * per_in, *(draw(st.integers(3, 5)) for _ in range(axes))))
    weight = draw(tensor(groups * per_in, per_out, *kernel))
    bias = draw(st.one_of(st.none(), tensor(groups * per_out)))
    stride = [draw(st.integers(1, 3)) for _ in range(axes)]
    padding = [draw(st.integers(0, 1)) for _ in range(axes)]
    extra = [draw(st.integers(0, s - 1)) for s in stride]
    return (x, weight, bias, stride, padding, extra, groups, [draw(st.integers(1, 2))] * axes), {}


@st.composite
def convolution(draw):
    if draw(st.booleans()):
        (x, weight, bias, stride, padding, dilation, groups), _ = draw(conv(2))
        stride, padding, dilation = (v * 2 if len(v) == 1 else v for v in (stride, padding, dilation))
        return (x, weight, bias, stride, padding, dilation, False, [0, 0], groups), {}
    (x, weight, bias, stride, padding, extra, groups, dilation), _ = draw(transposed(2))
    return (x, weight, bias, stride, padding, dilation, True, extra, groups), {}


@st.composite
def pool(draw, axes: int, kind: str):
    kernel = [draw(st.integers(1, 4)) for _ in range(axes)]
    stride = draw(st.sampled_from([[], [1] * axes, [2] * axes, [3] * axes]))
    padding = [draw(st.integers(0, k // 2)) for k in kernel]
    x = draw(tensor(2, 2, *(draw(st.integers(7, 10)) for _ in range(axes))))
    ceil = draw(st.booleans())
    if kind == "max":
        return (x, kernel, stride, padding, [draw(st.integers(1, 2))] * axes, ceil), {}
    include = draw(st.booleans())
    if axes == 1:
        return (x, kernel, stride, padding, ceil, include), {}
    return (x, kernel, stride, padding, ceil, include, draw(st.sampled_from([None, 3]))), {}


@st.composite
def adaptive(draw, axes: int):
    x = draw(tensor(2, 2, *(draw(st.integers(1, 9)) for _ in range(axes))))
    return (x, [draw(st.integers(1, 9)) for _ in range(axes)]), {}


CASES: dict[str, Case] = {
    **{f"conv{n}d.default": conv(n) for n in (1, 2, 3)},
    **{f"conv{n}d.padding": conv(n, words=True) for n in (1, 2, 3)},
    "convolution.default": convolution(),
    "conv_transpose1d.default": transposed(1),
    "conv_transpose2d.input": transposed(2),
    "conv_transpose3d.input": transposed(3),
    **{f"max_pool{n}d.default": pool(n, "max") for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices.default": pool(n, "max") for n in (2, 3)},
    **{f"avg_pool{n}d.default": pool(n, "avg") for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d.default": adaptive(n) for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d.default": adaptive(n) for n in (2, 3)},
    **{f"adaptive_max_pool{n}d.default": adaptive(n) for n in (1, 2, 3)},
}
