"""Canaries: what the room relies on in jaxprs, so that a new jax that changes it fails here first."""

import contextlib

import jax
import jax.numpy as jnp
from jax.extend import core

from camjax.trace._peel import scan_counts
from camjax.trace._program import Frame, Iteration
from camjax.trace._stack import body, frames, has_scopes, mark, scopes


def test_name_stacks_hold_scopes_and_transformations_apart():
    def f(x):
        with jax.named_scope("outer"), jax.named_scope("inner/part"):
            return jnp.sin(x)

    (eqn,) = jax.make_jaxpr(jax.vmap(f))(jnp.ones(3)).eqns
    assert scopes(eqn) == ["outer", "inner/part"]


def test_name_stacks_of_nested_jaxprs_are_relative():
    @jax.jit
    def g(x):
        with jax.named_scope("inner"):
            return jnp.sin(x)

    def f(x):
        with jax.named_scope("outer"):
            return g(x)

    (call,) = jax.make_jaxpr(f)(1.0).eqns
    (sine,) = body(call.params["jaxpr"])[0].eqns
    assert (scopes(call), scopes(sine)) == (["outer"], ["inner"])


def test_einsum_subscripts_are_no_scopes():
    jaxpr = jax.make_jaxpr(lambda x: jnp.einsum("ij,jk->ik", x, x))(jnp.eye(2)).jaxpr
    assert not has_scopes(jaxpr)


def test_equations_carry_a_context_and_parameters_that_bind():
    (eqn,) = jax.make_jaxpr(jnp.sin)(1.0).eqns
    assert isinstance(eqn.ctx.manager, contextlib.AbstractContextManager)
    with eqn.ctx.manager:
        out = eqn.primitive.bind(jnp.asarray(2.0), **eqn.primitive.get_bind_params(eqn.params))
    assert out == jnp.sin(2.0)


def test_calls_with_a_custom_derivative_bind_again_with_it():
    @jax.custom_jvp
    def f(x):
        return x * 1.0

    f.defjvp(lambda primals, tangents: (primals[0], 5.0 * tangents[0]))
    (eqn,) = jax.make_jaxpr(f)(1.0).eqns

    def again(x):
        (out,) = eqn.primitive.bind(x, **eqn.primitive.get_bind_params(eqn.params))
        return out

    assert eqn.primitive.name == "custom_jvp_call"
    assert jax.grad(again)(1.0) == 5.0


def test_the_parameters_of_scans_say_what_is_carried():
    def step(carry, x):
        return carry * jnp.float32(2), x

    loop = jax.make_jaxpr(lambda c, x: jax.lax.scan(step, c, x))(1.0, jnp.ones(3)).eqns[-1]
    assert loop.primitive.name == "scan"
    assert scan_counts(loop) == (0, 1)
    assert {"length", "reverse", "unroll", "jaxpr"} <= set(loop.params)


def test_a_copy_is_one_equation():
    (eqn,) = jax.make_jaxpr(jnp.copy)(1.0).eqns
    assert eqn.primitive.name in ("copy", "copy_p")


def test_literals_hold_their_value():
    (eqn,) = jax.make_jaxpr(lambda x: x + 2.0)(1.0).eqns
    assert isinstance(eqn.invars[1], core.Literal)
    assert eqn.invars[1].val == 2.0


def test_scopes_of_adapters_are_absolute_and_others_are_relative():
    found, folded = frames((Frame("a"),), ["b/c", "@layer4.1#2", "d"], 3)
    assert found == (Frame("a"), Frame("a.b.c"), Frame("layer4.1", "2~3"), Frame("layer4.1.d"))
    assert not folded


def test_a_peeled_iteration_is_written_on_the_stack_and_read_back():
    iteration = Iteration((0, 2), 3, 5)
    found, _ = frames((), [mark(iteration), "block"], 0)
    assert found[-1] == Frame("block", "", (iteration,))
