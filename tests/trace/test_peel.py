"""Scans: one iteration in the open, between two loops, computes what the scan does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from camjax.trace._flatten import flatten
from tests.trace.test_flatten import names, run

XS = jnp.array([1.0, 2.0, 3.0, 4.0])


def looped(reverse=False, length=4):
    def f(x, xs):
        def step(carry, x):
            with jax.named_scope("block"):
                carry = carry * 2.0 + x
            return carry, (carry + 1.0, x)

        return jax.lax.scan(step, x, xs[:length], reverse=reverse)

    return f


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_every_iteration_can_be_peeled(at, reverse):
    f = looped(reverse)
    flat = flatten(jax.make_jaxpr(f)(1.0, XS), 0, {(0,): at})
    for got, expected in zip(run(flat, 1.0, XS), jax.tree.leaves(f(1.0, XS)), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert names(flat).count("scan") == (1 if at in (0, 3) else 2)
    (iteration,) = {e.frames[-1].iterations for e in flat.equations if any(f.path == "block" for f in e.frames)}
    assert iteration == (((0,), at, 4),)


def test_the_last_iteration_to_run_is_peeled_unless_another_is_named():
    for reverse, last in ((False, 3), (True, 0)):
        flat = flatten(jax.make_jaxpr(looped(reverse))(1.0, XS), 0, {})
        (iteration,) = {i for e in flat.equations for f in e.frames for i in f.iterations}
        assert iteration.at == last


def test_a_scan_of_one_iteration_leaves_no_loop():
    f = looped(length=1)
    flat = flatten(jax.make_jaxpr(f)(1.0, XS), 0, {})
    assert "scan" not in names(flat)
    assert run(flat, 1.0, XS)[0] == 3.0


def test_a_scan_of_no_iteration_and_one_without_scopes_stay_closed():
    assert names(flatten(jax.make_jaxpr(looped(length=0))(1.0, XS), 0, {})).count("scan") == 1
    plain = jax.make_jaxpr(lambda x: jax.lax.scan(lambda c, x: (c + x, None), 0.0, x)[0])(XS)
    assert names(flatten(plain, 0, {})) == ["scan"]


@pytest.mark.parametrize("at", [(0, 0), (1, 2), (2, 1)])
def test_nested_scans_are_peeled_one_inside_the_other(at):
    def f(x):
        def inner(c, x):
            with jax.named_scope("inner"):
                return jnp.sin(c) + x, c

        def outer(c, _):
            with jax.named_scope("outer"):
                return jax.lax.scan(inner, c, XS[:3])

        return jax.lax.scan(outer, x, None, length=3)

    flat = flatten(jax.make_jaxpr(f)(1.0), 0, {(0,): at[0], (0, 0): at[1]})
    for got, expected in zip(run(flat, 1.0), jax.tree.leaves(f(1.0)), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)
    inside = {f.iterations for e in flat.equations for f in e.frames if f.path == "outer.inner"}
    assert inside == {(((0,), at[0], 3), ((0, 0), at[1], 3))}


def test_scans_in_different_calls_are_different_scans():
    stage = jax.jit(looped())

    def f(x, xs):
        return stage(stage(x, xs)[0], xs)[0]

    flat = flatten(jax.make_jaxpr(f)(1.0, XS), 0, {(0,): 1, (1,): 2})
    found = {i for e in flat.equations for f in e.frames for i in f.iterations}
    assert found == {((0,), 1, 4), ((1,), 2, 4)}
    assert run(flat, 1.0, XS)[0] == f(1.0, XS)


def test_an_unrolled_scan_stays_unrolled_around_the_peeled_iteration():
    def f(x):
        def step(c, _):
            with jax.named_scope("block"):
                return c * 2.0, None

        return jax.lax.scan(step, x, None, length=5, unroll=5)[0]

    flat = flatten(jax.make_jaxpr(f)(jnp.float32(1)), 0, {})
    (loop,) = [e for e in flat.equations if e.name == "scan"]
    assert (loop.params["length"], loop.params["unroll"]) == (4, 4)
    assert run(flat, jnp.float32(1)) == [32.0]
