"""What convolutions, pooling and padding do to a layer's axes."""

import jax
import jax.numpy as jnp
import pytest

from tests.trace.nets import PICTURE, axes_of, conv, kernel, trace


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


def test_repeated_pixels_are_a_finer_grid_once_a_convolution_has_seen_them():
    def change(p, x):
        return conv(jnp.repeat(jnp.repeat(x, 2, 1), 2, 2), p)

    assert axes_of(change, kernel(3, 3, 4, 6)) == ((16, 32), 6)
