"""Arguments for linear algebra and attention."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from tests.adapters.torch.cases._draw import Case, any_of, case, tensor

Q, K, V = tensor(2, 4, 3, 5), tensor(2, 4, 6, 5), tensor(2, 4, 6, 7)
# every query sees the first key, so that no row is masked away
SEEN = tensor(3, 6, dtype=torch.bool).map(lambda m: m | (torch.arange(6) == 0))

CASES: dict[str, Case] = {
    "linear.default": any_of(
        case(tensor(3, 4), tensor(5, 4), tensor(5)),
        case(tensor(2, 3, 4), tensor(5, 4)),
        case(tensor(2, 4), tensor(5, 4), None),
    ),
    "addmm.default": case(
        tensor(5), tensor(3, 4), tensor(4, 5), beta=st.sampled_from([1, 0.5]), alpha=st.sampled_from([1, 2])
    ),
    "baddbmm.default": case(
        tensor(2, 3, 5),
        tensor(2, 3, 4),
        tensor(2, 4, 5),
        beta=st.sampled_from([1, 0.5]),
        alpha=st.sampled_from([1, 2]),
    ),
    "mm.default": case(tensor(3, 4), tensor(4, 5)),
    "bmm.default": case(tensor(2, 3, 4), tensor(2, 4, 5)),
    "matmul.default": any_of(
        case(tensor(2, 3, 4), tensor(4, 5)),
        case(tensor(6, 1, 3, 4), tensor(2, 4, 5)),
        case(tensor(4), tensor(4)),
    ),
    "einsum.default": any_of(
        case("bij,bjk->bik", st.tuples(tensor(2, 3, 4), tensor(2, 4, 5)).map(list)),
        case(
            "B G H I D, B G H J D -> B G H I J",
            st.tuples(tensor(2, 1, 2, 3, 4), tensor(2, 1, 2, 5, 4)).map(list),
        ),
        case("...i,i", st.tuples(tensor(2, 3, 4), tensor(4)).map(list)),
    ),
    "scaled_dot_product_attention.default": any_of(
        case(Q, K, V),
        case(Q, K, V, SEEN, scale=st.sampled_from([None, 0.3])),
        case(Q, K, V, tensor(3, 6)),
        case(Q, tensor(2, 4, 3, 5), tensor(2, 4, 3, 7), None, 0.0, True),
        case(Q, tensor(2, 2, 6, 5), tensor(2, 2, 6, 7), enable_gqa=True),
    ),
    "linalg_vector_norm.default": case(
        tensor(2, 3, 4),
        st.sampled_from([2, 1, 3, 0, float("inf"), float("-inf")]),
        st.sampled_from([None, [1], [0, 2]]),
        st.booleans(),
    ),
}
