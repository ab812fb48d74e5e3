"""Which captured matrices resample an axis, and that maps keep their grid through them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax.trace._numbers import interpolates


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("method", ["linear", "cubic", "lanczos3"])
@pytest.mark.parametrize(("size", "out"), [(7, 14), (30, 7), (3, 96), (16, 15)])
def test_a_resampling_is_seen_whichever_way_the_matrix_lies(method, antialias, size, out):
    matrix = np.asarray(jax.image.resize(jnp.eye(size), (out, size), method, antialias))
    assert interpolates(matrix)
    assert interpolates(matrix.T)


def test_pooling_is_seen_for_it_keeps_the_order_of_positions():
    """CoaT halves its maps by bilinear interpolation, which is the mean of two."""
    assert interpolates(np.kron(np.eye(3), np.full((1, 4), 1 / 4)))


@pytest.mark.parametrize(
    "matrix",
    [
        np.random.default_rng(0).normal(size=(7, 14)),
        np.abs(np.random.default_rng(0).normal(size=(7, 14))) / 14,
        np.full((2, 5), 1 / 5),  # a mean, twice
        np.repeat(np.eye(2), 3, 0),  # repeated, by adaptive pooling for one
        np.eye(7)[::-1][:5],  # mirrored
        np.eye(7)[:5],  # cropped
        np.eye(7),
        np.ones((1, 7)) / 7,
        np.ones((7, 14), int),
        np.ones(7) / 7,
    ],
)
def test_weights_means_repetitions_and_moves_are_not(matrix):
    assert not interpolates(matrix)


def test_a_map_keeps_its_grid_through_a_captured_matrix_and_dead_maps_are_known_as_dead():
    up = np.asarray(jax.image.resize(jnp.eye(4), (8, 4), "linear"))
    numbers = np.random.default_rng(1)
    weights = {"kernel": numbers.normal(size=(3, 3, 3, 5)).astype(np.float32), "head": np.ones((5, 2), np.float32)}

    def apply(w, x):
        with jax.named_scope("maps"):
            z = jax.lax.conv_general_dilated(x, w["kernel"], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        with jax.named_scope("larger"):
            z = jnp.einsum("bhwc,Hh,Ww->bHWc", z, up, up)
        with jax.named_scope("tanh"):
            z = jnp.tanh(z)
        return z.mean((1, 2)) @ w["head"]

    found = camjax.layers(camjax.Model(apply, weights), np.zeros((1, 8, 8, 3), np.float32))
    assert found["larger"].axes is not None
    assert found["larger"].axes.grid == (8, 8)
    assert found.default is not None
    assert found.default.name == "tanh"
