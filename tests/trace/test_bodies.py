"""Axes through scans, closed calls, loops and conditionals."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tests.trace.nets import PICTURE, axes_of, conv, kernel, trace


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
