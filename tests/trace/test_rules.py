"""What each kind of operation does to a layer's axes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tests.trace.nets import conv, kernel, trace

PICTURE = jnp.zeros((1, 8, 16, 4))


def axes_of(change, params=None, x=PICTURE):
    """The axes of `change(params, conv(x))`, as (grid, channels), or None."""
    params = {} if params is None else params

    def apply(p, x):
        x = conv(x, jnp.eye(x.shape[-1]).reshape((1,) * (x.ndim - 2) + (x.shape[-1],) * 2))
        with jax.named_scope("layer"):
            y = change(p, x)
        return y.reshape(x.shape[0], -1).sum(1)

    axes = trace(apply, params, x).layers["layer"].axes
    return axes and (axes.grid, axes.channels)


@pytest.mark.parametrize(
    ("options", "grid"),
    [
        ({}, (8, 16)),
        ({"stride": 2}, (4, 8)),
        ({"padding": "VALID"}, (6, 14)),
        ({"rhs_dilation": (2, 2)}, (8, 16)),
        ({"lhs_dilation": (2, 2), "padding": [(1, 2), (1, 2)]}, (16, 32)),
        ({"padding": [(0, 4), (0, 0)]}, (10, 14)),
    ],
)
def test_convolutions_keep_the_grid_at_their_resolution(options, grid):
    assert axes_of(lambda p, x: conv(x, p, **options), kernel(3, 3, 4, 6)) == (grid, 6)


def test_grouped_and_depthwise_convolutions():
    for groups in (2, 4):
        found = axes_of(lambda p, x, n=groups: conv(x, p, feature_group_count=n), kernel(3, 3, 4 // groups, 8))
        assert found == ((8, 16), 8)


def test_a_convolution_that_groups_the_batch_is_not_followed():
    def apply(p, x):
        x = conv(x, p["a"])
        with jax.named_scope("layer"):
            y = conv(jnp.concatenate([x, x], 0), p["b"], batch_group_count=2)
        return y.mean((1, 2))

    found = trace(apply, {"a": kernel(1, 1, 4, 4), "b": kernel(1, 1, 4, 4)}, PICTURE)
    assert found.layers["layer"].axes is None


def test_a_picture_that_stands_in_the_kernels_place_is_not_followed():
    found = axes_of(lambda p, x: conv(p, x[:, :3, :3].transpose(1, 2, 3, 0)), kernel(1, 8, 8, 4))
    assert found is None


def test_channels_first():
    letters = ("NCHW", "OIHW", "NCHW")

    def apply(p, x):
        with jax.named_scope("layer"):
            x = conv(x, p, 2, letters=letters)
        return x.mean((2, 3))

    axes = trace(apply, kernel(6, 3, 3, 3), jnp.zeros((1, 3, 8, 16))).layers["layer"].axes
    assert (axes.grid, axes.channels, axes.input_dims) == ((4, 8), 6, (2, 3))
    assert axes.to_map(jnp.zeros((1, 6, 4, 8))).shape == (4, 8, 6)


@pytest.mark.parametrize("n", [1, 3])
def test_one_and_three_dimensional_convolutions(n):
    x = jnp.zeros((1, *(6,) * n, 2))
    assert axes_of(lambda p, x: conv(x, p, 2), kernel(*(3,) * n, 2, 5), x) == ((3,) * n, 5)


@pytest.mark.parametrize("reducer", [jax.lax.max, jax.lax.add])
def test_pooling_makes_the_grid_coarser_and_one_window_over_all_is_a_mean(reducer):
    def pooled(size):
        window = (1, *size, 1)
        return lambda p, x: jax.lax.reduce_window(x, 0.0, reducer, window, window, "VALID")

    assert axes_of(pooled((2, 2))) == ((4, 8), 4)
    assert axes_of(pooled((8, 1))) == ((1, 16), 4)
    assert axes_of(pooled((8, 16))) is None


def test_a_kernel_over_the_whole_grid_leaves_none():
    assert axes_of(lambda p, x: conv(x, p, padding="VALID"), kernel(8, 16, 4, 6)) is None


def test_padding_of_any_mode_is_no_part_of_the_grid():
    for mode in ("constant", "reflect", "edge", "wrap"):
        padded = axes_of(
            lambda p, x, m=mode: conv(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), m), p, 1, "VALID"),
            kernel(3, 3, 4, 6),
        )
        assert padded == ((8, 16), 6)


def test_padding_that_a_kernel_cannot_reach_over_shifts_the_grid_out_of_sight():
    wide = ((0, 0), (5, 0), (0, 0), (0, 0))
    assert axes_of(lambda p, x: conv(jnp.pad(x, wide), p), kernel(3, 3, 4, 6)) is None


def test_a_padded_convolution_whose_excess_is_cut_off_keeps_the_grid():
    causal = [(2, 2), (0, 0)]
    assert axes_of(lambda p, x: conv(x, p, padding=causal)[:, :-2], kernel(3, 1, 4, 6)) == ((8, 16), 6)
    assert axes_of(lambda p, x: conv(x, p, padding=causal)[:, :-5], kernel(3, 1, 4, 6)) is None


def test_zero_padded_channels_are_channels():
    assert axes_of(lambda p, x: jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (2, 2)))) == ((4, 8), 8)


def group_norm(p, x):
    y = x.reshape(*x.shape[:-1], 2, -1)
    mean = y.mean((1, 2, 4), keepdims=True)
    var = ((y - mean) ** 2).mean((1, 2, 4), keepdims=True)
    return ((y - mean) * jax.lax.rsqrt(var + 1e-5)).reshape(x.shape)


def layer_norm(p, x):
    mean, mean2 = x.mean(-1, keepdims=True), (x * x).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(jax.nn.relu(mean2 - mean * mean) + 1e-5) * p + p


def squeeze_excite(p, x):
    gate = jax.nn.sigmoid(jax.nn.relu(x.mean((1, 2)) @ p) @ p.T)
    return x * gate[:, None, None]


def mixer(p, x):
    """Tokens mixed by one matrix, then channels by another, each with a residual."""
    y = x.reshape(x.shape[0], -1, x.shape[-1])
    y = y + (jax.nn.gelu(y.swapaxes(1, 2) @ p["tokens"]) @ p["tokens"].T).swapaxes(1, 2)
    return y + jax.nn.gelu(y @ p["channels"])


def attention(p, x):
    """Two heads, with the queries, keys and values from one product."""
    y = x.reshape(x.shape[0], -1, 4)
    qkv = (y @ p).reshape(*y.shape[:2], 3, 2, 2)
    q, k, v = (jnp.squeeze(a, 2) for a in jnp.split(qkv, 3, 2))
    scores = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k))
    return jnp.einsum("bhqk,bkhd->bqhd", scores, v).reshape(y.shape)


@pytest.mark.parametrize(
    ("change", "params"),
    [
        (group_norm, {}),
        (layer_norm, jnp.ones((1, 1, 1, 4))),
        (squeeze_excite, kernel(4, 2)),
        (mixer, {"tokens": kernel(128, 16), "channels": kernel(4, 4)}),
        (attention, kernel(4, 12)),
        (lambda p, x: x @ p, kernel(4, 4)),
        (lambda p, x: jnp.cumsum(x, 1), {}),
        (lambda p, x: jax.nn.softmax(x, -1), {}),
        (lambda p, x: jnp.where(x > 0, x, jnp.full_like(x, -1.0)), {}),
        (lambda p, x: jax.lax.optimization_barrier((x, 2.0))[0], {}),
        (lambda p, x: x.astype(jnp.bfloat16), {}),
        (lambda p, x: jnp.concatenate([x[..., :1], x[..., 1:]], -1), {}),
        (lambda p, x: x * jnp.linspace(0.0, 1.0, 8)[None, :, None, None], {}),
    ],
)
def test_mixing_keeps_positions_where_they_are(change, params):
    assert axes_of(change, params) == ((8, 16), 4)


def test_dense_concatenation_adds_channels():
    assert axes_of(lambda p, x: jnp.concatenate([x, conv(x, p)], -1), kernel(3, 3, 4, 2)) == ((8, 16), 6)


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic"])
def test_resizing_changes_the_resolution(method):
    def resize(p, x):
        y = jax.image.resize(x, (x.shape[0], 12, 24, 4), method)
        return conv(y, p) if method == "nearest" else y

    found = axes_of(resize, kernel(1, 1, 4, 4))
    assert found == (None if method == "nearest" else ((12, 24), 4))  # a gather by computed indices may go anywhere


def test_repeated_pixels_are_a_finer_grid_once_a_convolution_has_seen_them():
    def change(p, x):
        return conv(jnp.repeat(jnp.repeat(x, 2, 1), 2, 2), p)

    assert axes_of(change, kernel(3, 3, 4, 6)) == ((16, 32), 6)


def test_a_square_matrix_of_numbers_may_mirror_and_is_no_interpolation():
    assert axes_of(lambda p, x: jnp.einsum("bhwc,hk->bkwc", x, jnp.eye(8)[::-1])) is None


def test_a_product_with_captured_weights_mixes_channels_but_is_no_interpolation():
    dense, tokens = kernel(4, 6), kernel(8, 8)
    assert axes_of(lambda p, x: x @ dense) == ((8, 16), 6)
    assert axes_of(lambda p, x: jnp.einsum("bhwc,hk->bkwc", x, tokens)) is None


@pytest.mark.parametrize(
    "read", [lambda y: y[:, 0], lambda y: y[:, jnp.array(0)], lambda y: jnp.split(y, (1,), 1)[0][:, 0]]
)
def test_what_reads_one_class_token_leaves_the_patches_unread(read):
    def apply(p, x):
        with jax.named_scope("patches"):
            y = conv(x, p["conv"], 4).reshape(x.shape[0], -1, 5)
        with jax.named_scope("tokens"):
            y = jnp.concatenate(
                [jnp.broadcast_to(p["token"], (x.shape[0], 1, 5)) + 0.0 * y.sum(1, keepdims=True), y], 1
            )
        return read(y) @ p["head"]

    params = {"conv": kernel(4, 4, 4, 5), "token": kernel(1, 1, 5), "head": kernel(5, 2)}
    found = trace(apply, params, PICTURE).layers
    assert str(found["tokens"].axes) == "2x4 tokens + 1, 5 channels"
    assert found.default.name == "patches"


def test_dictionaries_and_two_pictures():
    def apply(p, x):
        with jax.named_scope("left"):
            left = conv(x["left"], p)
        with jax.named_scope("right"):
            right = conv(x["right"], p, 2)
        return left.mean((1, 2)) + right.mean((1, 2))

    found = trace(apply, kernel(3, 3, 4, 6), {"left": PICTURE, "right": jnp.zeros((1, 4, 4, 4))}).layers
    left, right = found["left"].axes, found["right"].axes
    assert (left.leaf, left.grid, right.leaf, right.grid) == (0, (8, 16), 1, (2, 2))


def test_two_pictures_that_meet_position_by_position_share_a_grid():
    def stacked(p, x):
        with jax.named_scope("layer"):
            y = conv(jnp.concatenate(x, -1), p)
        return y.mean((1, 2))

    def compared(p, x):
        a, b = (conv(leaf, p) for leaf in x)
        with jax.named_scope("layer"):
            y = jnp.abs(a - b)
        return y.mean((1, 2))

    for apply, params in ((stacked, kernel(3, 3, 8, 6)), (compared, kernel(3, 3, 4, 6))):
        axes = trace(apply, params, (PICTURE, PICTURE)).layers["layer"].axes
        assert (axes.leaf, axes.grid, axes.channels) == (0, (8, 16), 6)


def test_a_scan_keeps_what_its_body_keeps():
    def blocks(p, x):
        return jax.lax.scan(lambda c, w: (c + conv(c, w), None), x, p)[0]

    def mirrors(p, x):
        return jax.lax.scan(lambda c, w: (conv(c, w)[:, ::-1], None), x, p)[0]

    params = kernel(3, 3, 3, 4, 4)
    assert axes_of(blocks, params) == ((8, 16), 4)
    assert axes_of(mirrors, params) is None


def test_the_scanned_axis_of_a_recurrence_keeps_its_place():
    def recurrent(p, x):
        rows = x.swapaxes(0, 1)
        _, out = jax.lax.scan(
            lambda c, row: (c + row.mean((1, 2)), row * c[:, None, None]), jnp.zeros((x.shape[0],)), rows
        )
        return out

    assert axes_of(recurrent) == ((8, 16), 4)


def test_a_nested_jit_that_stays_closed_is_followed_all_the_same():
    sharding = NamedSharding(Mesh(np.array(jax.devices()[:1]), ("d",)), PartitionSpec())
    inner = jax.jit(lambda w, x: jnp.tanh(conv(x, w, 2)), in_shardings=sharding, out_shardings=sharding)
    assert axes_of(inner, kernel(3, 3, 4, 6)) == ((4, 8), 6)
    mirror = jax.jit(lambda w, x: x[:, ::-1], in_shardings=sharding)
    assert axes_of(mirror, kernel(1)) is None


def test_a_convolution_inside_a_scan_labels_the_picture():
    def apply(p, x):
        with jax.named_scope("layer"):
            y = jax.lax.scan(lambda c, w: (conv(c, w), None), x, p)[0]
        return y.mean((1, 2))

    axes = trace(apply, kernel(2, 3, 3, 4, 4), PICTURE).layers["layer"].axes
    assert (axes.grid, axes.channels) == ((8, 16), 4)


def test_loops_and_conditionals_are_not_followed():
    assert axes_of(lambda p, x: jax.lax.while_loop(lambda y: y.sum() > 1.0, lambda y: y / 2.0, x)) is None
    assert axes_of(lambda p, x: jax.lax.cond(x.sum() > 0.0, lambda y: y, lambda y: -y, x)) is None
