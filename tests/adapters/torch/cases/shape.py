"""Arguments for shapes, indexing, joining and making arrays."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from tests.adapters.torch.cases._draw import Case, any_of, case, tensor

X = tensor(2, 6, 4)
AXIS = st.integers(-3, 2)
DTYPE = st.sampled_from([None, torch.float32, torch.int32, torch.bool])
FLOAT = st.sampled_from([torch.float32, torch.float16])
SIZE = st.sampled_from([[], [3], [2, 3]])


def places(*shape: int, below: int):
    return tensor(*shape, low=0, high=below - 1, dtype=torch.int64)


def pairs(*options):
    return st.sampled_from(options)


SHAPES = pairs([12, 4], [2, -1], [2, 2, 3, 4], [48])
RANGE = (st.sampled_from([None, 0, 1, -3]), st.sampled_from([None, 3, -1, 2**63 - 1]), st.integers(1, 2))

CASES: dict[str, Case] = {
    **{f"{name}.default": case(X) for name in ("clone", "contiguous", "detach", "alias", "lift_fresh_copy")},
    **{f"{name}.default": case(X, 0.5, False) for name in ("dropout", "feature_dropout", "alpha_dropout")},
    "feature_alpha_dropout.default": case(X, 0.5, False),
    "sym_size.int": case(X, AXIS),
    "sym_numel.default": case(X),
    "numel.default": case(X),
    **{f"{name}.default": case(X, SHAPES) for name in ("view", "reshape", "_unsafe_view")},
    "flatten.using_ints": any_of(case(X), case(X, 1), case(X, 0, -2), case(X, -2, -1)),
    "unflatten.int": case(X, st.sampled_from([1, -2]), pairs([2, 3], [-1, 2])),
    "permute.default": case(X, pairs([0, 2, 1], [-1, 0, 1], [2, 1, 0])),
    **{name: case(X, AXIS, AXIS) for name in ("transpose.int", "swapaxes.default")},
    "t.default": any_of(case(tensor(3, 2)), case(tensor(3))),
    "mT.default": case(X),
    "movedim.int": case(X, AXIS, AXIS),
    "movedim.intlist": case(X, [0, 1], pairs([1, 2], [2, 0])),
    "unsqueeze.default": case(X, st.integers(-4, 3)),
    "squeeze.dim": case(tensor(1, 3, 1), AXIS),
    "squeeze.dims": case(tensor(1, 3, 1), pairs([0], [0, 2], [1, -1])),
    "expand.default": case(tensor(1, 3, 1), pairs([2, 3, 4], [-1, -1, 5], [2, 1, 3, 1])),
    "expand_as.default": case(tensor(1, 3, 1), tensor(2, 3, 4)),
    "repeat.default": case(X, pairs([1, 2, 1], [2, 1, 1, 3])),
    "select.int": case(X, AXIS, st.integers(-2, 1)),
    "slice.Tensor": case(X, st.sampled_from([0, 1, -1]), *RANGE),
    "slice_scatter.default": case(X, tensor(2, 2, 4), 1, 1, 5, 2),
    "select_scatter.default": case(X, tensor(2, 4), st.sampled_from([1, -2]), st.integers(-6, 5)),
    "narrow.default": case(X, 1, st.integers(0, 3), st.integers(1, 3)),
    "chunk.default": case(X, st.integers(1, 5), AXIS),
    **{f"{name}.Tensor": case(X, st.integers(1, 5), AXIS) for name in ("split", "unsafe_split")},
    **{name: case(X, [1, 2, 3], 1) for name in ("split_with_sizes.default", "split.sizes")},
    "unbind.int": case(X, AXIS),
    **{
        f"{name}.default": any_of(
            case(st.tuples(X, tensor(2, 2, 4)).map(list), 1), case(st.tuples(X, tensor(0), X).map(list), AXIS)
        )
        for name in ("cat", "concat", "concatenate")
    },
    "stack.default": case(st.tuples(X, X).map(list), st.integers(-4, 3)),
    **{
        f"{name}.Tensor": any_of(
            case(X, st.tuples(places(5, below=2)).map(list)),
            case(X, st.tuples(st.none(), places(3, below=6), places(3, below=4)).map(list)),
            case(X, st.tuples(places(3, below=2), st.none(), places(3, below=4)).map(list)),
        )
        for name in ("index", "_unsafe_index")
    },
    "index_select.default": case(X, st.sampled_from([1, -2]), places(3, below=6)),
    "gather.default": case(X, 1, places(2, 3, 4, below=6)),
    "embedding.default": case(tensor(5, 3), places(2, 4, below=5)),
    "roll.default": any_of(case(X, pairs([1, -2]), pairs([1, 2], [0, -1])), case(X, [3])),
    "flip.default": case(X, pairs([0], [1, -1])),
    "constant_pad_nd.default": case(X, pairs([1, 2], [0, 1, 2, 0], [-1, 0, 1, -2]), st.sampled_from([0, 1.5])),
    "pad.default": any_of(
        case(X, pairs([1, 2], [0, 1, 2, 0])),
        case(X, [1, 2], "constant", 2.0),
        case(X, pairs([1, 2], [2, 0]), st.sampled_from(["reflect", "replicate", "circular"])),
    ),
    "reflection_pad1d.default": case(X, [1, 2]),
    "reflection_pad2d.default": case(tensor(2, 3, 4, 5), [1, 2, 0, 3]),
    "replication_pad1d.default": case(X, [1, 2]),
    "replication_pad2d.default": case(tensor(2, 3, 4, 5), [1, 2, 0, 3]),
    "pixel_shuffle.default": case(tensor(2, 8, 3, 4), 2),
    "channel_shuffle.default": case(tensor(2, 6, 3, 4), st.sampled_from([2, 3])),
    "unfold.default": case(X, st.sampled_from([1, -2]), st.integers(1, 3), st.integers(1, 3)),
    "im2col.default": case(
        tensor(2, 3, 6, 8),
        pairs([2, 2], [3, 2], [2, 4]),
        pairs([1, 1], [1, 1], [2, 1]),
        pairs([0, 0], [1, 2]),
        pairs([1, 1], [2, 2], [3, 2], [2, 4]),
    ),
    "col2im.default": any_of(
        case(tensor(2, 12, 12), [6, 8], [2, 2], [1, 1], [0, 0], [2, 2]),
        case(tensor(2, 18, 12), [6, 8], [3, 3], [1, 1], [1, 1], [2, 2]),
        case(tensor(2, 12, 24), [6, 8], [3, 2], [1, 2], [0, 0], [1, 1]),
    ),
    "tril.default": case(X, st.integers(-1, 1)),
    "triu.default": case(X, st.integers(-1, 1)),
    "meshgrid.indexing": case(st.tuples(tensor(2), tensor(3)).map(list), indexing=st.sampled_from(["ij", "xy"])),
    "to.dtype": case(X, FLOAT),
    "to.dtype_layout": case(X, dtype=FLOAT),
    "to.other": case(X, tensor(1, dtype=torch.int32)),
    "type_as.default": case(X, tensor(1, dtype=torch.float16)),
    "_to_copy.default": any_of(case(X, dtype=FLOAT), case(X)),
    "full.default": case(SIZE, 2.0, dtype=DTYPE),
    "zeros.default": case(SIZE, dtype=DTYPE),
    "ones.default": case(SIZE, dtype=DTYPE),
    "full_like.default": case(X, 2.0, dtype=DTYPE),
    "zeros_like.default": case(X, dtype=DTYPE),
    "ones_like.default": case(X, dtype=DTYPE),
    "zero.default": case(X),
    "new_full.default": case(X, SIZE, 2.0, dtype=DTYPE),
    "new_zeros.default": case(X, SIZE, dtype=DTYPE),
    "new_ones.default": case(X, SIZE, dtype=DTYPE),
    "scalar_tensor.default": case(1.5, dtype=DTYPE),
    "arange.default": any_of(case(5), case(2.5), case(5, dtype=torch.float32)),
    "arange.start": any_of(case(1, 5), case(1, 5, dtype=torch.float32)),
    "arange.start_step": any_of(case(1, 9, 3), case(5, -1, -2), case(0.0, 1.0, 0.25)),
    "linspace.default": case(0, 1, st.integers(2, 5), dtype=torch.float32),
    "copy.default": any_of(case(X, tensor(6, 1)), case(X, tensor(4, dtype=torch.float16))),
    "fill.Scalar": case(X, 2.0),
    "fill.Tensor": case(X, tensor()),
}
