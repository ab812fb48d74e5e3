"""Axes through norms, attention, resizing, indexing and several inputs."""

import jax
import jax.numpy as jnp
import pytest

from tests.trace.nets import PICTURE, axes_of, conv, kernel, trace


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
