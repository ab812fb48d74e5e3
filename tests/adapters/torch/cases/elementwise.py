"""Arguments for the elementwise operations and the reductions."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from tests.adapters.torch.cases._draw import Case, any_of, case, tensor

X = tensor(2, 3, 4)
POSITIVE = tensor(2, 3, 4, low=0.1, high=4.0)
BOOL = tensor(2, 3, 4, dtype=torch.bool)
NUMBER = st.sampled_from([-1.5, 0.5, 2.0])
# not zero, and not a divisor of the values within rounding
DIVISOR = tensor(2, 3, 4, low=0.7, high=2.0)
SPREAD = st.one_of(tensor(2, 3, 4), tensor(3, 1), tensor(4), tensor(1, 3, 4, dtype=torch.float16))
AXES = st.sampled_from([[0], [1, 2], [-1], [0, 2], [-2, -1]])
KEEP = st.booleans()

PLAIN = (
    "relu relu6 silu sigmoid hardswish hardsigmoid mish log_sigmoid selu tanh exp expm1 sin cos erf abs neg sign floor "
)
PLAIN += "ceil round trunc square"
AWAY_FROM_ZERO = "log log1p log2 sqrt rsqrt reciprocal"
COMPARISONS = "eq ne lt le gt ge"
FEW = tensor(2, 3, 4, low=-2, high=2, dtype=torch.int32)

CASES: dict[str, Case] = {
    **{f"{name}.default": case(X) for name in PLAIN.split()},
    **{f"{name}.default": case(POSITIVE) for name in AWAY_FROM_ZERO.split()},
    **{f"{name}.Tensor": case(FEW, FEW) for name in COMPARISONS.split()},
    **{f"{name}.Scalar": case(FEW, st.integers(-1, 1)) for name in COMPARISONS.split()},
    **{f"{name}.default": case(X, SPREAD) for name in ("maximum", "minimum")},
    **{f"{name}.default": case(BOOL, BOOL) for name in ("logical_and", "logical_or")},
    **{f"{name}.Tensor": case(FEW, FEW) for name in ("bitwise_and", "bitwise_or", "__and__", "__or__")},
    **{f"{name}.Scalar": case(FEW, 3) for name in ("bitwise_and", "bitwise_or", "__and__", "__or__")},
    "logical_not.default": case(BOOL),
    "bitwise_not.default": any_of(case(BOOL), case(FEW)),
    "mul.Tensor": any_of(case(X, SPREAD), case(X, NUMBER), case(FEW, X)),
    "mul.Scalar": any_of(case(X, NUMBER), case(FEW, 0.5)),
    "add.Tensor": case(X, SPREAD, alpha=st.sampled_from([1, 2, 0.5])),
    "add.Scalar": case(X, NUMBER, st.sampled_from([1, 2])),
    "sub.Tensor": case(X, SPREAD, alpha=st.sampled_from([1, 2, 0.5])),
    "sub.Scalar": case(X, NUMBER, st.sampled_from([1, 2])),
    "rsub.Tensor": case(X, SPREAD, alpha=st.sampled_from([1, 0.5])),
    "rsub.Scalar": case(X, NUMBER, st.sampled_from([1, 2])),
    "div.Tensor": any_of(case(X, DIVISOR), case(FEW, 3)),
    "div.Scalar": any_of(case(X, NUMBER), case(FEW, 2)),
    "div.Tensor_mode": case(X, DIVISOR, rounding_mode=st.sampled_from([None, "floor", "trunc"])),
    "div.Scalar_mode": any_of(
        case(X, 0.7, rounding_mode=st.sampled_from([None, "floor", "trunc"])),
        case(FEW, 2, rounding_mode=st.sampled_from(["floor", "trunc"])),
    ),
    "true_divide.Tensor": case(X, DIVISOR),
    "true_divide.Scalar": case(X, NUMBER),
    "floor_divide.default": case(X, DIVISOR),
    "floor_divide.Scalar": case(FEW, 2),
    "remainder.Tensor": case(X, DIVISOR),
    "remainder.Scalar": any_of(case(X, 0.7), case(FEW, 2)),
    "fmod.Tensor": case(X, DIVISOR),
    "fmod.Scalar": any_of(case(X, 0.7), case(FEW, 2)),
    "pow.Tensor_Tensor": case(POSITIVE, X),
    "pow.Tensor_Scalar": any_of(case(X, 2), case(X, 3), case(POSITIVE, NUMBER)),
    "pow.Scalar": case(2.0, X),
    "addcmul.default": case(X, X, SPREAD, value=NUMBER),
    "lerp.Tensor": case(X, X, POSITIVE),
    "lerp.Scalar": case(X, X, NUMBER),
    "gelu.default": case(X, approximate=st.sampled_from(["none", "tanh"])),
    "elu.default": case(X, NUMBER, 1, 1),
    "celu.default": case(X, st.sampled_from([0.5, 1.0])),
    "leaky_relu.default": case(X, st.sampled_from([0.01, 0.3])),
    "prelu.default": any_of(case(X, tensor(3)), case(X, tensor(1))),
    "_prelu_kernel.default": case(X, tensor(1, 3, 1)),
    "softplus.default": case(X, st.sampled_from([1, 2]), st.sampled_from([1, 20])),
    "glu.default": case(X, st.sampled_from([0, -1])),
    "hardtanh.default": any_of(case(X), case(X, 0, 2), case(X, 0, 6)),
    "clamp.default": any_of(case(X, -1, 1), case(X, None, 0.5), case(X, 0.5)),
    "clamp.Tensor": case(X, tensor(2, 3, 4, high=0.0), tensor(4, low=0.0)),
    "clip.default": case(X, -1, 1),
    "clamp_min.default": case(X, NUMBER),
    "clamp_min.Tensor": case(X, X),
    "clamp_max.default": case(X, NUMBER),
    "clamp_max.Tensor": case(X, X),
    "softmax.int": any_of(case(X, st.integers(-3, 2)), case(tensor(3, 4, dtype=torch.float16), 1, torch.float32)),
    "_softmax.default": case(X, st.integers(-3, 2), False),
    "log_softmax.int": any_of(case(X, st.integers(-3, 2)), case(tensor(3, 4, dtype=torch.float16), 1, torch.float32)),
    "_log_softmax.default": case(X, st.integers(-3, 2), False),
    "where.self": case(BOOL, X, SPREAD),
    "where.ScalarOther": case(BOOL, X, NUMBER),
    "where.ScalarSelf": case(BOOL, NUMBER, X),
    "where.Scalar": case(BOOL, 1.0, NUMBER),
    "masked_fill.Scalar": case(X, BOOL, st.sampled_from([0.0, float("-inf")])),
    "masked_fill.Tensor": case(X, BOOL, tensor()),
    "mean.default": case(X),
    "mean.dim": any_of(case(X, AXES, KEEP), case(X, None), case(X, [])),
    "sum.default": case(X),
    "sum.dim_IntList": any_of(case(X, AXES, KEEP), case(X, []), case(FEW, AXES)),
    "amax.default": any_of(case(X, AXES, KEEP), case(X)),
    "amin.default": any_of(case(X, AXES, KEEP), case(X)),
    "max.default": case(X),
    "max.dim": case(X, st.integers(-3, 2), KEEP),
    "argmax.default": any_of(case(X), case(X, st.integers(-3, 2), KEEP)),
    "any.default": case(BOOL),
    "any.dim": case(BOOL, st.integers(-3, 2), KEEP),
    "any.dims": case(BOOL, AXES, KEEP),
    "var.correction": case(X, AXES, correction=st.sampled_from([None, 0, 1]), keepdim=KEEP),
    "var.dim": any_of(case(X, AXES), case(X, AXES, st.booleans(), KEEP)),
    "std.correction": case(X, AXES, correction=st.sampled_from([None, 0, 1]), keepdim=KEEP),
    "std.dim": case(X, AXES, st.booleans(), KEEP),
    "var_mean.correction": case(X, AXES, correction=st.sampled_from([None, 0, 1]), keepdim=KEEP),
    "cumsum.default": case(X, st.integers(-3, 2)),
}
