"""Layers by name: calls, outputs, what stands between scopes, and what computes nothing."""

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from tests.trace.nets import trace

X = jnp.ones((1, 4))
scope = jax.named_scope


def names(apply, params=None, x=X):
    return [layer.name for layer in trace(apply, {} if params is None else params, x).layers]


def test_a_scope_is_the_value_that_leaves_it():
    def apply(p, x):
        with scope("a"):
            x = jnp.sin(x) * 2.0
        with scope("b"):
            return jnp.cos(x)

    assert names(apply) == ["a", "b"]


def test_nested_scopes_that_end_in_one_value_are_its_aliases():
    def apply(p, x):
        with scope("a"):
            with scope("b"):
                x = jnp.sin(x)
            with scope("c"):
                x = jnp.cos(x)
        return x * 2.0

    layers = trace(apply, {}, X).layers
    assert [(layer.name, layer.aliases) for layer in layers] == [("a.b", ()), ("a", ("a.c",)), ("after:a", ())]


def test_what_stands_after_a_scope_is_named_after_it():
    def apply(p, x):
        with scope("block"):
            with scope("conv"):
                y = jnp.sin(x)
            y = jnp.tanh(y + x)
        return y + 1.0

    layers = trace(apply, {}, X).layers
    assert layers["after:block.conv"] == layers["block"]
    assert layers["after:block"].shape == (1, 4)


def test_a_scope_with_several_results_numbers_them():
    def apply(p, x):
        with scope("two"):
            a, b = jnp.sin(x), jnp.cos(x)
        return a * b

    assert names(apply) == ["two:0", "two:1", "after:two"]


def test_a_jitted_function_called_twice_is_two_calls():
    @jax.jit
    def block(x):
        with scope("@block#0"):
            return jnp.sin(x)

    assert names(lambda p, x: block(block(x))) == ["block#0", "block#1"]


def test_a_plain_scope_called_twice_begins_again_at_its_first_weight():
    def dense(p, x):
        with scope("dense"):
            return jnp.tanh(x @ p["w"] + p["b"])

    params = {"w": jnp.eye(4), "b": jnp.zeros((1, 4))}
    assert names(lambda p, x: dense(p, dense(p, x)), params) == ["dense#0", "dense#1"]


def test_tied_weights_within_one_call_do_not_begin_another():
    def apply(p, x):
        with scope("autoencoder"):
            return jnp.tanh(x @ p) @ p.T

    assert names(apply, jnp.ones((4, 3))) == ["autoencoder"]


def test_calls_of_adapters_are_counted_by_their_number_whatever_encloses_them():
    def apply(p, x):
        with scope("Net"), scope("@shared#0"):
            x = jnp.sin(x)
        with scope("Net"), scope("@shared#7"):
            x = jnp.sin(x)
        with scope("@stage#0"), scope("Conv"), scope("@stage.conv#0"):
            return jnp.cos(x)

    layers = trace(apply, {}, X).layers
    assert [layer.name for layer in layers] == ["shared#0", "shared#1", "stage"]
    assert layers["stage"].aliases == ("stage.conv",)


def test_a_module_that_hands_its_input_on_computes_nothing():
    def apply(p, x):
        with scope("@act#0"):
            x = jnp.sin(x)
        with scope("@dropout#0"):
            return checkpoint_name(x, "camjax:identity")

    layers = trace(apply, {}, X).layers
    assert [(layer.name, layer.note) for layer in layers] == [
        ("act", ""),
        ("dropout", "computes nothing: it hands its input on"),
    ]


def test_dead_integer_and_input_free_values_are_no_layers():
    def apply(p, x):
        with scope("dead"):
            jnp.sin(x)
        with scope("integer"):
            i = jnp.argmax(x, -1)
        with scope("constant"):
            c = jnp.sin(p)
        with scope("alive"):
            return x * c + i[:, None].astype(x.dtype)

    assert names(apply, jnp.ones((1, 4))) == ["alive"]


def test_remat_and_custom_derivatives_keep_the_scopes_inside():
    @jax.custom_vjp
    def custom(x):
        with scope("inside"):
            y = jnp.sin(x)
        return y * 2.0

    custom.defvjp(lambda x: (custom(x), x), lambda x, g: (g,))

    def apply(p, x):
        with scope("net"):
            x = jax.checkpoint(lambda y: jnp.cos(jax.nn.relu(y)))(x)
            return custom(x)

    layers = trace(apply, {}, X).layers
    assert [(layer.name, layer.note) for layer in layers] == [
        ("net.inside", "inside a custom derivative, which is bypassed"),
        ("net", ""),
    ]
