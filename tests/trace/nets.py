"""Small functions to trace, and values that say themselves where in the picture they come from."""

import jax
import jax.numpy as jnp
import numpy as np

import camjax
from camjax.trace import traced


def conv(x, kernel, stride=1, padding="SAME", **options):
    """A convolution of NHWC (or 1-D, or 3-D) maps."""
    n = x.ndim - 2
    letters = "NWC", "WIO", "NWC"
    if n == 2:
        letters = "NHWC", "HWIO", "NHWC"
    if n == 3:
        letters = "NDHWC", "DHWIO", "NDHWC"
    letters = options.pop("letters", letters)
    return jax.lax.conv_general_dilated(x, kernel, (stride,) * n, padding, dimension_numbers=letters, **options)


def kernel(*shape, key=0):
    """Random weights."""
    return jax.random.normal(jax.random.key(key), shape) / 8


def trace(apply, params, x):
    """The trace of `apply`."""
    return traced(camjax.Model(apply, params), x)


def places(size=(4, 8), channels=2):
    """A picture whose entry at (i, j, channel c) is the number (i * width + j) * channels + c."""
    return jnp.arange(np.prod(size) * channels, dtype=float).reshape(1, *size, channels)


def seen(x):
    """`x` after a convolution that changes nothing, and labels its axes."""
    n, c = x.ndim - 2, x.shape[-1]
    return conv(x, jnp.eye(c).reshape((1,) * n + (c, c)))


def layout(change, x=None, label=seen):
    """The axes of `change(label(x))`, and what they make of its value: (None, None) where they are not found."""
    x = places() if x is None else x

    def apply(_, x):
        x = label(x)
        with jax.named_scope("layer"):
            y = change(x)
        return y.reshape(x.shape[0], -1).sum(1)

    found = trace(apply, {}, x)
    axes = found.layers["layer"].axes
    if axes is None:
        return None, None
    A, _ = found.split("layer").features({}, x)
    return axes, np.asarray(axes.to_map(A))


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


def misplaced(maps, size=(4, 8), channels=2):
    """How many entries of a canonical map do not stand at the place, at its resolution, that they name.

    Padding is negative: it has no place on the grid, but there may be whole channels of it.
    """
    maps = maps[..., ~(maps < 0).all(tuple(range(maps.ndim - 1)))]
    numbers = maps.astype(int) // channels
    wrong = maps < 0
    for axis, (at, full) in enumerate(zip(np.unravel_index(np.abs(numbers), size), size, strict=True)):
        here = np.arange(maps.shape[axis]).reshape([-1 if d == axis else 1 for d in range(maps.ndim)])
        wrong = wrong | (at * maps.shape[axis] // full != here)
    return int(wrong.sum())
