"""Arguments for the normalisations."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.adapters.torch.cases._draw import Case, any_of, case, tensor

IMAGE = st.sampled_from([(3, 4), (3, 4, 5, 2), (2, 4, 3, 3, 2)]).flatmap(lambda shape: tensor(*shape))
MAYBE = st.one_of(st.none(), tensor(4))
STATISTICS = (tensor(4), tensor(4, low=0.2, high=3.0))
EPS = st.sampled_from([1e-5, 1e-3])

CASES: dict[str, Case] = {
    "_native_batch_norm_legit_no_training.default": case(IMAGE, MAYBE, MAYBE, *STATISTICS, 0.1, EPS),
    "batch_norm.default": any_of(
        case(IMAGE, MAYBE, MAYBE, *STATISTICS, False, 0.1, EPS, False),
        case(tensor(1, 4, 5), MAYBE, MAYBE, None, None, True, 0.1, EPS, False),
    ),
    "_native_batch_norm_legit.no_stats": case(tensor(1, 4, 5), MAYBE, MAYBE, True, 0.1, EPS),
    "native_layer_norm.default": case(tensor(2, 3, 4), [4], MAYBE, MAYBE, EPS),
    "layer_norm.default": any_of(
        case(tensor(2, 3, 4), [4], MAYBE, MAYBE, EPS),
        case(tensor(2, 3, 4), [3, 4], tensor(3, 4), tensor(3, 4)),
        case(tensor(2, 3, 4), [4]),
    ),
    "rms_norm.default": any_of(case(tensor(2, 3, 4), [4], MAYBE, EPS), case(tensor(2, 3, 4), [3, 4])),
    "group_norm.default": case(tensor(2, 4, 3, 3), st.sampled_from([1, 2, 4]), MAYBE, MAYBE, EPS),
    "native_group_norm.default": case(tensor(2, 4, 3, 3), MAYBE, MAYBE, 2, 4, 9, st.sampled_from([1, 2]), EPS),
    "instance_norm.default": any_of(
        case(tensor(2, 4, 3, 3), MAYBE, MAYBE, None, None, True, 0.1, EPS, False),
        case(tensor(2, 4, 5), MAYBE, MAYBE, *STATISTICS, False, 0.1, EPS, False),
    ),
}
