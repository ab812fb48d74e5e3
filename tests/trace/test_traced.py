"""Tracing and its cache, what is refused, and splits by name."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax.trace import traced
from tests.trace.nets import conv, kernel, trace

scope = jax.named_scope
X = jnp.ones((2, 8, 8, 3))
W = kernel(3, 3, 3, 4)


def apply(p, x):
    with scope("layer"):
        y = conv(x, p)
    return jax.nn.softmax(y.mean((1, 2)))


MODEL = camjax.Model(apply, W)


def test_a_function_is_traced_once_whatever_the_batch_and_the_weights():
    first = traced(MODEL, X)
    assert traced(MODEL, jnp.ones((5, 8, 8, 3))) is first
    assert traced(camjax.Model(apply, 2.0 * W), X) is first
    assert traced(MODEL, jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)) is first


def test_other_shapes_dtypes_and_functions_are_traced_anew():
    first = traced(MODEL, X)
    assert traced(MODEL, jnp.ones((2, 16, 8, 3))) is not first
    assert traced(camjax.Model(apply, W.astype(jnp.bfloat16)), X.astype(jnp.bfloat16)) is not first
    assert traced(camjax.Model(lambda p, x: apply(p, x), W), X) is not first
    with jax.default_matmul_precision("highest"):
        assert traced(MODEL, X) is not first


def test_splits_are_the_same_object_for_the_same_arguments():
    found = traced(MODEL, X)
    assert found.split("layer") is found.split() is found.split("layer", axes=None)
    said = {"space": [1, 2], "channel": 3}
    assert found.split("layer", axes=said) is found.split("layer", axes={"channel": 3, "space": (1, 2)})
    assert found.split("layer", scores="outputs") is not found.split("layer")
    assert found.split("layer").tail == "softmax"
    assert found.split("layer", scores="outputs").tail is None


def test_scores_have_two_meanings():
    with pytest.raises(ValueError, match=r"scores: got 'logit', expected 'logits' .* or 'outputs'"):
        traced(MODEL, X).split(scores="logit")


def test_a_function_that_captures_a_tracer_is_traced_but_not_kept():
    seen = []

    def explain(w, x):
        def closed(_, x):
            with scope("layer"):
                y = conv(x, w)
            return y.mean((1, 2))

        found = traced(camjax.Model(closed, {}), x)
        assert traced(camjax.Model(closed, {}), x) is not found
        seen.append(weakref.ref(found))
        split = found.split("layer")
        return split.head({}, *split.features({}, x))

    expected = conv(X, W).mean((1, 2))
    np.testing.assert_allclose(jax.jit(explain)(W, X), expected, rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(explain, (0, None))(W[None], X)[0], expected, rtol=1e-5)
    gc.collect()
    assert [ref() for ref in seen] == [None, None]


def test_a_captured_array_that_is_no_tracer_is_kept():
    def closed(_, x):
        return conv(x, W).mean((1, 2))

    model = camjax.Model(closed, {})
    assert traced(model, X) is traced(model, X)


def test_random_keys_and_python_numbers_may_be_parameters():
    def noisy(p, x):
        with scope("layer"):
            y = conv(x, p["w"]) * p["scale"]
        return y.mean((1, 2)) + jax.random.normal(p["key"], (1, 4))

    params = {"w": W, "key": jax.random.key(0), "scale": 2.0}
    split = trace(noisy, params, X).split("layer")
    np.testing.assert_allclose(split.head(params, *split.features(params, X)), noisy(params, X), rtol=1e-5)


def test_a_literal_batch_size_is_refused():
    def literal(p, x):
        return conv(x.reshape(1, 8, 8, 3), p).mean((1, 2))

    with pytest.raises(ValueError, match=r"model: .* for a batch of 2, with x \(2, 8, 8, 3\).*no literal batch size"):
        trace(literal, W, X)


def test_a_literal_batch_size_that_hides_in_a_shape_is_refused():
    def hidden(p, x):
        return conv(x, p).reshape(1, -1, 4).mean(1)

    def moved(p, x):
        return conv(x, p).mean((1, 2)).T

    with pytest.raises(
        ValueError, match=r"model: no output has a batch axis: the shapes are \(1, 4\) for a batch of 1"
    ):
        trace(hidden, W, X)
    with pytest.raises(
        ValueError, match=r"output outputs has shape \(4, 1\) for a batch of 1 and \(4, 2\) for a batch of 2"
    ):
        trace(moved, W, X)


def test_whatever_the_model_raises_is_said_and_kept_as_the_cause():
    def picky(p, x):
        assert x.shape[1] == 224, "expected 224 pixels"
        return x

    with pytest.raises(ValueError, match=r"batch of 1, with x \(1, 8, 8, 3\): AssertionError: expected 224") as error:
        trace(picky, W, X)
    assert isinstance(error.value.__cause__, AssertionError)


def test_inputs_are_called_by_their_path():
    def picky(p, x):
        return x["image"] @ x["text"]

    with pytest.raises(ValueError, match=r"x\['image'\] \(1, 8, 8, 3\), x\['text'\] \(1, 5\)"):
        trace(picky, {}, {"image": X, "text": jnp.ones((2, 5))})


def test_a_layer_inside_a_loop_or_a_conditional_is_refused_with_the_reason():
    def looped(p, x):
        def double(x):
            with scope("inner"):
                return conv(x, p)

        with scope("stem"):
            x = conv(x, kernel(3, 3, 3, 3))
        return jax.lax.while_loop(lambda x: x.sum() > 1.0, double, x).mean((1, 2))

    found = trace(looped, kernel(3, 3, 3, 3), X)
    with pytest.raises(ValueError, match=r"layer: 'inner' is inside a while loop.*scan.*The default is 'stem'"):
        found.split("inner")


def test_the_iterations_of_a_scan_are_layers_of_their_own():
    def blocks(p, x):
        def step(carry, w):
            x, previous = carry
            with scope("block"):
                y = jnp.tanh(conv(x, w) + previous)
                z = jnp.sin(y)
            return (y, z), None

        with scope("stage"):
            (x, _), _ = jax.lax.scan(step, (x, jnp.zeros_like(x)), p)
        return x.mean((1, 2))

    params = kernel(3, 3, 3, 3, 3)
    found = trace(blocks, params, X)
    # The last iteration's z is read by nobody, so that it has one value where the others have two.
    assert [layer.name for layer in found.layers] == [
        *("stage.block:0[0]", "stage.block:1[0]", "stage.block:0[1]", "stage.block:1[1]", "stage.block[2]"),
        "after:stage",
    ]
    assert found.layers["stage"] is found.layers["stage.block[2]"]
    split = found.split("stage.block:1[0]")
    A, rest = split.features(params, X)
    np.testing.assert_allclose(A, jnp.sin(jnp.tanh(conv(X, params[0]))), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(split.head(params, A, rest), blocks(params, X), rtol=1e-5, atol=1e-6)


def test_a_scan_that_runs_backwards_is_explained_at_its_first_index():
    def blocks(p, x):
        def step(x, w):
            with scope("block"):
                return jax.nn.relu(conv(x, w)), None

        return jax.lax.scan(step, x, p["blocks"], reverse=True)[0].mean((1, 2)) @ p["head"]

    layers = trace(blocks, {"blocks": kernel(3, 3, 3, 3, 3), "head": kernel(3, 2)}, X).layers
    assert {layer.name for layer in layers if layer.name.startswith("block")} == {"block[0]", "block[1]", "block[2]"}
    assert layers.default.name == "block[0]"


def test_scopes_with_brackets_are_no_iterations():
    def listed(p, x):
        with scope("layers[0]"):
            y = conv(x, p)
        return y.mean((1, 2))

    assert trace(listed, W, X).split("layers[0]").name == "layers[0]"


def test_the_64_traces_that_were_used_last_are_kept():
    x = jnp.ones((1, 2))
    models = [camjax.Model(lambda w, x, n=n: x @ w + n, jnp.ones((2, 2))) for n in range(65)]
    found = [traced(model, x) for model in models[:64]]
    assert traced(models[0], x) is found[0]  # and is the last one used now
    traced(models[64], x)
    assert traced(models[0], x) is found[0]
    assert traced(models[63], x) is found[63]
    assert traced(models[1], x) is not found[1]
