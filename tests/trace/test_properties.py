"""Random chains of changes to a picture whose values say where they come from: right, or unknown."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.trace.nets import layout, misplaced, places


def moves(draw, x):
    """A random chain of reshapes and transposes, as a list of (name, arguments)."""
    shape, chain = x.shape, []
    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["split", "merge", "transpose"]))
        if kind == "transpose":
            order = draw(st.permutations(range(len(shape))))
            shape = tuple(shape[i] for i in order)
            chain.append(("transpose", order))
            continue
        if kind == "merge" and len(shape) > 2:
            i = draw(st.integers(0, len(shape) - 2))
            shape = (*shape[:i], shape[i] * shape[i + 1], *shape[i + 2 :])
        else:
            i = draw(st.integers(0, len(shape) - 1))
            divisors = [d for d in range(1, shape[i] + 1) if shape[i] % d == 0]
            d = draw(st.sampled_from(divisors))
            shape = (*shape[:i], d, shape[i] // d, *shape[i + 1 :])
        chain.append(("reshape", shape))
    return chain


def applied(chain, x):
    for name, argument in chain:
        x = getattr(x, name)(argument)
    return x


def by_example(change):
    """`change` of one example (a batch of one) as a change of a batch."""
    return lambda x: jax.vmap(lambda one: change(one[None]))(x)


QUICK = settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])  # a trace each: no shrinking


@QUICK
@given(st.data())
def test_no_chain_of_reshapes_and_transposes_of_powers_of_two_is_lost(data):
    x = places((4, 8), 2)
    chain = moves(data.draw, x)
    axes, maps = layout(by_example(lambda x: applied(chain, x)), x)
    assert axes is not None
    assert (axes.grid, axes.channels) == ((4, 8), 2)
    np.testing.assert_array_equal(np.sort(maps, -1), np.asarray(x[0]))


@QUICK
@given(st.data())
def test_a_chain_of_reshapes_and_transposes_of_other_sizes_is_right_or_unknown(data):
    x = places((6, 10), 3)
    chain = moves(data.draw, x)
    axes, maps = layout(by_example(lambda x: applied(chain, x)), x)
    if axes is not None:
        assert axes.grid == (6, 10)
        np.testing.assert_array_equal(np.sort(maps, -1), np.asarray(x[0]))


def changes(draw, x):
    """One random change that may move, cut, repeat or pad positions."""
    dim = draw(st.integers(1, x.ndim - 1))
    n = x.shape[dim]
    start = draw(st.integers(0, n - 1))
    stop = draw(st.integers(start + 1, n))
    kind = draw(st.sampled_from(["roll", "flip", "slice", "stride", "pad", "double", "sort", "swap", "window"]))
    match kind:
        case "roll":
            return lambda x: jnp.roll(x, start, dim)
        case "flip":
            return lambda x: jnp.flip(x, dim)
        case "slice":
            return lambda x: jax.lax.slice_in_dim(x, start, stop, axis=dim)
        case "stride":
            return lambda x: jax.lax.slice_in_dim(x, start, n, 2, axis=dim)
        case "pad":
            sides = [(start, stop) if d == dim else (0, 0) for d in range(x.ndim)]
            return lambda x: jnp.pad(x, sides, constant_values=-1.0)
        case "double":
            return lambda x: jnp.concatenate([x, x], dim)
        case "sort":
            return lambda x: -jnp.sort(-x, dim)
        case "swap":
            return lambda x: jnp.swapaxes(x, dim, x.ndim - 1)
        case _:
            return lambda x: x.reshape(*x.shape[:dim], -1, 2, *x.shape[dim + 1 :]) if n % 2 == 0 else x


@QUICK
@given(st.data())
def test_whatever_is_done_to_the_grid_it_is_right_or_unknown(data):
    x, chain = places(), []
    y = x
    for _ in range(data.draw(st.integers(1, 4))):
        change = changes(data.draw, y)
        chain.append(change)
        y = change(y)

    def change(x):
        for step in chain:
            x = step(x)
        return x + 0  # a scope that computes nothing would be no layer

    axes, maps = layout(change)
    if axes is not None:
        assert misplaced(maps) == 0


def test_channels_of_padding_have_no_place_and_move_none():
    def change(x):
        x = jnp.pad(x, [(0, 0), (0, 0), (0, 0), (0, 1)], constant_values=-1.0)
        x = jax.lax.slice_in_dim(x, 0, 8, 2, axis=2)
        return jnp.pad(x, [(0, 0), (0, 0), (1, 2), (0, 0)], constant_values=-1.0)

    axes, maps = layout(change)
    assert (axes.grid, axes.channels, axes.start[2], axes.stop[2]) == ((4, 4), 3, 1, 5)
    assert misplaced(maps) == 0
    assert (maps[..., 2] == -1).all()


def test_what_is_misplaced_is_seen():
    maps = np.asarray(places()[0])
    assert misplaced(maps) == 0
    assert misplaced(np.roll(maps, 1, 1)) > 0
    assert misplaced(np.where(maps == 0, -1, maps)) == 1  # padding in the grid, where other positions are
