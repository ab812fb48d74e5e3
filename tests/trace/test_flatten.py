"""Flattening: calls are inlined, the rest is kept, and the flat program computes what the function does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from camjax.trace._flatten import flatten
from camjax.trace._program import close, evaluate, hidden_in, live, read


def program(f, *args, peel=None):
    return flatten(jax.make_jaxpr(f)(*args), 0, peel)


def run(flat, *args):
    env = dict(zip((*flat.params, *flat.inputs), args, strict=True))
    env.update(flat.consts)
    evaluate(live(flat.equations, flat.outputs), env)
    return [read(env, atom) for atom in flat.outputs]


def names(flat):
    return [e.name for e in flat.equations]


@jax.jit
def twice(x):
    return x * 2.0


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, lambda f: jax.jit(jax.checkpoint(jax.jit(f)))])
def test_calls_that_only_group_are_inlined(wrap):
    flat = program(lambda x: jnp.sin(wrap(lambda y: y * 2.0)(x)), 3.0)
    assert names(flat) == ["mul", "sin"]
    assert run(flat, 3.0) == [jnp.sin(6.0)]


def test_a_jitted_function_called_twice_is_inlined_twice():
    assert names(program(lambda x: twice(twice(x)), 3.0)) == ["mul", "mul"]


def test_a_nested_jit_with_explicit_shardings_stays_closed():
    sharding = NamedSharding(Mesh(np.array(jax.devices()[:1]), ("d",)), PartitionSpec())
    inner = jax.jit(lambda x: x * 2.0, in_shardings=sharding, out_shardings=sharding)
    flat = program(lambda x: inner(x) + 1.0, jnp.ones(2))
    assert names(flat) == ["jit", "add"]
    np.testing.assert_array_equal(run(flat, jnp.ones(2))[0], [3.0, 3.0])


def test_outputs_may_be_literals_inputs_repeated_and_unused():
    flat = program(lambda x, y: (x, 1.0, jnp.sin(x), x, jnp.sin(x)), 3.0, 4.0)
    assert run(flat, 3.0, 4.0) == [3.0, 1.0, jnp.sin(3.0), 3.0, jnp.sin(3.0)]


def test_results_that_nobody_wants_are_dropped():
    flat = program(lambda x: jax.lax.top_k(x, 2)[0], jnp.array([1.0, 3.0, 2.0]))
    np.testing.assert_array_equal(run(flat, jnp.array([1.0, 3.0, 2.0]))[0], [3.0, 2.0])
    flat = program(lambda x: jax.jit(lambda y: (y * 2.0, y * 3.0))(x)[0], 3.0)
    assert [e.name for e in live(flat.equations, flat.outputs)] == ["mul"]


def test_a_captured_array_is_one_value_however_often_it_is_read():
    table = jnp.arange(3.0)
    flat = program(lambda x: jax.jit(lambda y: y + table)(x) * table, jnp.ones(3))
    assert len(flat.consts) == 1
    np.testing.assert_array_equal(run(flat, jnp.ones(3))[0], [0.0, 2.0, 6.0])


def test_side_effects_are_refused_by_name():
    def f(x):
        jax.experimental.io_callback(lambda v: None, None, x, ordered=True)
        return x

    with pytest.raises(ValueError, match=r"side effect \('io_callback'.*Remedy: remove the effect"):
        program(f, 1.0)


def test_references_are_refused_by_name():
    def f(x):
        ref = jax.new_ref(x)
        ref[...] = ref[...] * 2.0
        return ref[...]

    with pytest.raises(ValueError, match=r"model: its function has a side effect \('(new_)?ref'"):
        program(f, jnp.ones(2))


def test_printing_is_no_side_effect_even_in_a_loop():
    def f(x):
        def step(c, _):
            jax.debug.print("c={c}", c=c)
            return c * 2.0, None

        return jax.lax.scan(step, x, None, length=2)[0]

    assert run(program(f, jnp.float32(3)), jnp.float32(3)) == [12.0]


def wrong(x):
    """x², with a derivative that is wrong on purpose."""

    @jax.custom_jvp
    def square(x):
        with jax.named_scope("inside"):
            y = x * 1.0
        return y * y

    square.defjvp(lambda primals, tangents: (square(primals[0]), 100.0 * tangents[0]))
    return square(x)


def derivative(flat, x):
    return jax.grad(lambda x: run(flat, x)[0])(x)


def test_a_custom_derivative_is_opened_to_be_looked_at_and_closed_to_be_run():
    flat = program(wrong, 3.0)
    assert names(flat) == ["mul", "mul"]
    closed = close(flat, flat.outputs)
    assert names(closed) == ["custom_jvp_call"]
    assert (run(closed, 3.0), derivative(closed, 3.0)) == ([9.0], 100.0)


def test_a_custom_derivative_stays_open_where_a_wanted_value_is_inside():
    flat = program(wrong, 3.0)
    (inner,) = flat.equations[0].outputs
    assert hidden_in(flat, flat.equations[0], inner) == [0]
    assert hidden_in(flat, flat.equations[1], flat.equations[1].outputs[0]) == []
    opened = close(flat, [inner, *flat.outputs])
    assert names(opened) == ["mul", "mul"]
    assert derivative(opened, 3.0) == 6.0


def test_only_the_custom_derivatives_around_a_wanted_value_are_opened():
    flat = program(lambda x: wrong(wrong(x)), 3.0)
    (inner,) = flat.equations[0].outputs
    assert names(close(flat, [inner, *flat.outputs])) == ["mul", "mul", "custom_jvp_call"]


@jax.custom_vjp
def reversal(x):
    return x


reversal.defvjp(lambda x: (x, None), lambda _, g: (-g,))


def test_a_custom_derivative_of_the_identity_is_kept():
    flat = program(lambda x: reversal(x) * 2.0, 3.0)
    closed = close(flat, flat.outputs)
    assert names(closed) == ["custom_vjp_call", "mul"]
    assert (run(flat, 3.0), run(closed, 3.0), derivative(closed, 3.0)) == ([6.0], [6.0], -2.0)


def test_a_custom_derivative_may_return_one_value_twice_and_hand_an_input_through():
    @jax.custom_vjp
    def f(x, y):
        z = x * y
        return z, z, y

    f.defvjp(lambda x, y: (f(x, y), None), lambda _, g: (g[0] + 10.0 * g[1], g[2] * 7.0))
    flat = program(lambda x, y: sum(f(x, y)), 2.0, 3.0)
    closed = close(flat, flat.outputs)
    assert run(flat, 2.0, 3.0) == run(closed, 2.0, 3.0) == [15.0]
    slopes = jax.grad(lambda x, y: run(closed, x, y)[0], argnums=(0, 1))(2.0, 3.0)
    assert slopes == (11.0, 7.0)


def test_nested_custom_derivatives_close_from_the_outside():
    @jax.custom_jvp
    def outer(x):
        return wrong(x) + 1.0

    outer.defjvp(lambda primals, tangents: (outer(primals[0]), 7.0 * tangents[0]))
    flat = program(outer, 3.0)
    assert names(close(flat, flat.outputs)) == ["custom_jvp_call"]
    inner_result = flat.equations[1].outputs[0]
    opened = close(flat, [inner_result, *flat.outputs])
    assert names(opened) == ["custom_jvp_call", "add"]
    assert derivative(opened, 3.0) == 100.0


def test_scopes_inside_loops_and_conditionals_are_remembered_with_the_reason():
    def f(x):
        def double(x):
            with jax.named_scope("body"):
                return jax.jit(lambda y: y * 2.0)(x)

        with jax.named_scope("net"):
            x = jax.lax.while_loop(lambda x: x < 9.0, double, x)
        return jax.lax.cond(x > 1.0, lambda x: double(x), lambda x: x, x)

    assert program(f, 3.0).sealed == {"net.body": "a while loop", "body": "a conditional"}
