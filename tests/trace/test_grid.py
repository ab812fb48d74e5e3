"""The layout of layers whose values say where they come from: it is right, or there is none."""

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import Primitive

from tests.trace.nets import layout, misplaced, places, seen


def tokens(before=0, after=0):
    """Tokens, row by row, between others that are no part of the picture."""

    def change(x):
        flat = x.reshape(x.shape[0], -1, x.shape[-1])
        other = [jnp.full((x.shape[0], n, x.shape[-1]), -1.0) for n in (before, after)]
        return jnp.concatenate([other[0], flat, other[1]], 1)

    return change


def windows(x):
    """2x2 windows, as Swin cuts them: each a row of the batch."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)


def unwindows(y, h=4, w=8):
    return y.reshape(-1, h // 2, w // 2, 2, 2, y.shape[-1]).transpose(0, 1, 3, 2, 4, 5).reshape(-1, h, w, y.shape[-1])


def unshuffled(x):
    """Each 2x2 block of pixels becomes channels, from which every pixel can still be told."""
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h // 2, w // 2, 4 * c)


def patches(x):
    """Patch merging: four strided slices beside each other."""
    return jnp.concatenate([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1)


def convolved_windows(x):
    """A convolution inside of each 2x2 window."""
    y = windows(x).reshape(-1, 2, 2, x.shape[-1])
    kernel = jnp.eye(x.shape[-1], dtype=x.dtype)[None, None]
    y = jax.lax.conv_general_dilated(y, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return unwindows(y.reshape(-1, 4, x.shape[-1]))


def heads(x):
    """Channels split into two heads in front of the tokens."""
    b, h, w, c = x.shape
    return x.reshape(b, h * w, 2, c // 2).transpose(0, 2, 1, 3)


def channel_shuffle(x):
    y = jnp.concatenate([x, x], -1)
    return y.reshape(*x.shape[:-1], 2, 2).swapaxes(-1, -2).reshape(*x.shape[:-1], 4)


@pytest.mark.parametrize(
    ("change", "grid", "channels", "words"),
    [
        (lambda x: x * 1.0, (4, 8), 2, "4x8 space, 2 channels"),
        (lambda x: x.transpose(0, 3, 1, 2), (4, 8), 2, "4x8 space, 2 channels"),
        (convolved_windows, (4, 8), 2, "4x8 space, 2 channels"),
        (lambda x: x.transpose(0, 2, 1, 3), (4, 8), 2, "4x8 space, 2 channels"),
        (tokens(), (4, 8), 2, "4x8 tokens, 2 channels"),
        (tokens(before=1), (4, 8), 2, "4x8 tokens + 1, 2 channels"),
        (tokens(before=5), (4, 8), 2, "4x8 tokens + 5, 2 channels"),
        (tokens(after=1), (4, 8), 2, "4x8 tokens + 1, 2 channels"),
        (tokens(before=2, after=3), (4, 8), 2, "4x8 tokens + 5, 2 channels"),
        (lambda x: tokens(before=1)(x)[:, 1:], (4, 8), 2, "4x8 tokens, 2 channels"),
        (windows, (4, 8), 2, "4x8 space, 2 channels"),
        (lambda x: unwindows(windows(x)), (4, 8), 2, "4x8 space, 2 channels"),
        (unshuffled, (4, 8), 2, "4x8 space, 2 channels"),
        (patches, (2, 4), 8, "2x4 space, 8 channels"),
        (heads, (4, 8), 2, "4x8 tokens, 2 channels"),
        (channel_shuffle, (4, 8), 4, "4x8 space, 4 channels"),
        (lambda x: jnp.concatenate([x, jax.nn.relu(x)], -1), (4, 8), 4, "4x8 space, 4 channels"),
        (lambda x: jnp.roll(jnp.roll(x, (1, 3), (1, 2)), (-1, -3), (1, 2)), (4, 8), 2, "4x8 space, 2 channels"),
        (lambda x: jnp.pad(x, ((0, 0), (2, 1), (0, 0), (0, 0)))[:, 2:-1], (4, 8), 2, "4x8 space, 2 channels"),
        (lambda x: jnp.split(x, 2, -1)[0], (4, 8), 1, "4x8 space, 1 channels"),
        (lambda x: jnp.concatenate(jnp.split(x, 2, 1), 1), (4, 8), 2, "4x8 space, 2 channels"),
        (lambda x: x[:, None], (4, 8), 2, "4x8 space, 2 channels"),
    ],
)
def test_the_grid_is_found_wherever_it_goes(change, grid, channels, words):
    axes, maps = layout(change)
    assert (axes.grid, axes.channels, str(axes)) == (grid, channels, words)
    assert (axes.leaf, axes.input_dims) == (0, (1, 2) if axes.input_dims != (2, 1) else (2, 1))
    if grid == (4, 8):
        assert misplaced(maps, channels=2) == 0


def test_strided_pieces_stand_at_half_the_resolution():
    assert misplaced(layout(patches)[1]) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[:, ::-1],
        lambda x: jnp.flip(x, (1, 2)),
        lambda x: jnp.roll(x, 1, 1),
        lambda x: windows(jnp.roll(x, (1, 1), (1, 2))),
        lambda x: jnp.sort(x, 2),
        lambda x: x[:, :2],
        lambda x: x[:, 1:3, 2:6],
        lambda x: x[:, :, jnp.array([7, 1, 2, 3, 4, 5, 6, 0])],
        lambda x: jnp.concatenate([x, x], 2),
        lambda x: jnp.concatenate([x[:, :2], x[:, :2]], 1),
        lambda x: jax.lax.dynamic_slice_in_dim(x, x[0, 0, 0, 0].astype(int), 2, 1),
        lambda x: jax.lax.dynamic_update_slice_in_dim(x, x[:, :1], 3, 1),
        lambda x: x.at[:, 0].set(x[:, 3]),
        lambda x: x.reshape(-1, 2, 2, 8, 2).mean(1),
        lambda x: x.reshape(-1, 2, 2, 8, 2)[:, 0],
        lambda x: x[:, :, :4] + x[:, :, :4].transpose(0, 2, 1, 3),
        lambda x: jnp.fft.fft2(x, axes=(1, 2)).real,
        lambda x: jax.lax.associative_scan(jnp.add, x, axis=1),
        lambda x: jnp.einsum("bhwc,hk->bkwc", x, jnp.ones((4, 4)) + x[0, 0, 0, 0]),
        lambda x: x.sum(1),
        lambda x: x.mean((1, 2)),
    ],
)
def test_what_moves_or_drops_positions_has_no_grid(change):
    assert layout(change) == (None, None)


@pytest.mark.parametrize("factor", [2, 4])
def test_a_reduction_over_the_minor_part_of_an_axis_is_pooling(factor):
    axes, maps = layout(lambda x: x.reshape(-1, 4, 8 // factor, factor, 2).min(3))
    assert axes.grid == (4, 8 // factor)
    assert misplaced(maps) == 0


def test_an_unknown_primitive_is_not_taken_for_elementwise():
    mirror = Primitive("mirror")
    mirror.def_abstract_eval(lambda x: x)
    assert layout(mirror.bind) == (None, None)


def test_a_residual_gives_a_lost_grid_back():
    axes, _ = layout(lambda x: x + x[:, ::-1])
    assert axes.grid == (4, 8)


def test_one_dimensional_and_three_dimensional_inputs():
    axes, maps = layout(lambda x: x.transpose(0, 2, 1), places((8,)))
    assert (axes.grid, axes.input_dims, misplaced(maps, (8,))) == ((8,), (1,), 0)
    axes, maps = layout(lambda x: x.reshape(x.shape[0], -1, 2), places((2, 4, 8)))
    assert (axes.grid, axes.input_dims, misplaced(maps, (2, 4, 8))) == ((2, 4, 8), (1, 2, 3), 0)


@pytest.mark.parametrize("frames", [1, 3])
def test_an_axis_along_which_a_convolution_is_mapped_belongs_to_the_grid(frames):
    axes, maps = layout(lambda x: x * 1.0, places((3, 4, 8)), jax.vmap(seen, frames, frames))
    assert (axes.grid, axes.input_dims, misplaced(maps, (3, 4, 8))) == ((3, 4, 8), (1, 2, 3), 0)


def test_colours_that_are_first_filtered_apart_are_channels_all_the_same():
    def apart(x):
        return seen(jax.vmap(lambda colour: seen(colour[..., None])[..., 0], 3, 3)(x))

    axes, maps = layout(lambda x: x * 1.0, label=apart)
    assert (axes.grid, axes.channels, misplaced(maps)) == ((4, 8), 2, 0)
