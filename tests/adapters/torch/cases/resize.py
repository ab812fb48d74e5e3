"""Arguments for resizing: sizes and factors, larger and smaller."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.adapters.torch.cases._draw import Case, tensor

# Not 2.3: two elements become four, and then torch's kernels disagree with each other on whether the factor was 2.
FACTORS = st.sampled_from([2.0, 0.5, 1.5, 2.6])


@st.composite
def resize(draw, axes: int, corners: bool):
    x = draw(tensor(2, 2, *(draw(st.integers(2, 6)) for _ in range(axes))))
    if draw(st.booleans()):
        goal = ([draw(st.integers(1, 9)) for _ in range(axes)],), (None,)
    else:
        goal = (None,), ([draw(FACTORS) for _ in range(axes)],)
    middle = (draw(st.booleans()),) if corners else ()
    return (x, *goal[0], *middle, *goal[1]), {}


CASES: dict[str, Case] = {
    "upsample_linear1d.vec": resize(1, corners=True),
    "upsample_bilinear2d.vec": resize(2, corners=True),
    "upsample_trilinear3d.vec": resize(3, corners=True),
    "upsample_bicubic2d.vec": resize(2, corners=True),
    "upsample_nearest1d.vec": resize(1, corners=False),
    "upsample_nearest2d.vec": resize(2, corners=False),
    "upsample_nearest3d.vec": resize(3, corners=False),
}
