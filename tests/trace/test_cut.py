"""Two halves of a model make the model, nothing runs twice, and nothing that is not needed runs at all."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax.trace import traced
from tests.trace.nets import conv, kernel, trace

scope = jax.named_scope
X = jax.random.normal(jax.random.key(1), (3, 8, 8, 3))


def residual(p, x):
    with scope("stem"):
        x = jax.nn.relu(conv(x, p["stem"], 2))
    for i in (0, 1):
        with scope(f"block{i}"):
            with scope("first"):
                y = jax.nn.relu(conv(x, p[f"a{i}"]))
            with scope("second"):
                y = conv(y, p[f"b{i}"])
            x = jax.nn.relu(x + y)
    with scope("head"):
        return {"scores": jax.nn.softmax(x.mean((1, 2)) @ p["head"]), "features": x.mean((1, 2)), "version": 3.0}


RESIDUAL = {f"{name}{i}": kernel(3, 3, 4, 4, key=i) for name in "ab" for i in (0, 1)}
RESIDUAL |= {"stem": kernel(3, 3, 3, 4), "a": kernel(2, 3, 3, 4, 4), "head": kernel(4, 5)}


def scanned(p, x):
    with scope("stem"):
        x = conv(x, p["stem"], 2)

    def step(x, w):
        with scope("block"):
            x = x + jnp.tanh(conv(x, w))
        return x, x.mean((1, 2))

    x, means = jax.lax.scan(step, x, p["a"])
    return x.mean((1, 2)) @ p["head"], means.swapaxes(0, 1)


def windowed(p, x):
    with scope("stem"):
        x = conv(x, p["stem"], 2)
    b, h, w, c = x.shape
    with scope("windows"):
        y = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
    y = jnp.tanh(y + y.mean(1, keepdims=True))
    y = y.reshape(b, h // 2, w // 2, 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
    return (x + y).mean((1, 2)) @ p["head"]


MODELS = [(residual, RESIDUAL), (scanned, RESIDUAL), (windowed, RESIDUAL)]


@pytest.mark.parametrize(("apply", "params"), MODELS)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_head_of_the_features_is_the_model_for_every_layer(apply, params, batch):
    x = X[:batch]
    model = camjax.Model(apply, params)
    found, expected = traced(model, x), jax.tree.leaves(apply(params, x))
    assert len(found.layers) >= 3
    for layer in found.layers:
        if layer.axes is None:
            continue
        split = found.split(layer.name, scores="outputs")
        A, rest = split.features(params, x)
        if layer.shape[0] == 1:
            assert A.shape == (batch, *layer.shape[1:])
        for got, want in zip(jax.tree.leaves(split.head(params, A, rest)), expected, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("apply", "params"), MODELS)
def test_no_two_layers_share_a_name(apply, params):
    names = [name for layer in trace(apply, params, X).layers for name in (layer.name, *layer.aliases)]
    assert len(names) == len(set(names))


def equations(f, *args):
    return [e.primitive.name for e in jax.make_jaxpr(f)(*args).jaxpr.eqns]


def test_a_bypassed_layer_hands_on_what_bypasses_it_and_runs_nothing_twice():
    # Not rewritten: else each convolution is there for a CPU and for others.
    found = traced(camjax.Model(residual, RESIDUAL, rewrite=False), X)
    whole = found.split("stem", scores="outputs").features.__self__
    total = sum(whole.passes)
    for name in ("stem", "block0.first", "block0.second", "block1.first"):
        split = found.split(name, scores="outputs")
        assert sum(split.features.__self__.passes) == total
        A, rest = split.features(RESIDUAL, X[:1])
        assert len(rest) == (0 if name == "stem" else 1)
        convolutions = equations(split.head, RESIDUAL, A, rest).count("conv_general_dilated")
        assert convolutions == {"stem": 4, "block0.first": 3, "block0.second": 2, "block1.first": 1}[name]
        before = equations(split.features, RESIDUAL, X[:1]).count("conv_general_dilated")
        assert before + convolutions == 5


def test_the_head_of_the_last_stage_has_no_convolution():
    split = trace(residual, RESIDUAL, X).split("block1")
    A, rest = split.features(RESIDUAL, X[:1])
    gradient = jax.make_jaxpr(jax.grad(lambda a: split.head(RESIDUAL, a, rest)["scores"][0, 0]))(A)
    assert "conv" not in str(gradient)


def test_one_iteration_of_a_scan_is_not_run_again_in_the_head():
    split = trace(scanned, RESIDUAL, X).split("block[0]", scores="outputs")
    A, rest = split.features(RESIDUAL, X[:1])
    assert "scan" not in equations(split.features, RESIDUAL, X[:1])
    assert equations(split.head, RESIDUAL, A, rest).count("scan") == 1


def test_several_results_of_one_equation_are_cut_apart():
    def apply(p, x):
        x = conv(x, p)
        with scope("halves"):
            a, b = jnp.split(x, 2, -1)
        return (jnp.sin(a) * b).mean((1, 2))

    params = kernel(3, 3, 3, 4)
    found = trace(apply, params, X)
    for name in ("halves:0", "halves:1"):
        split = found.split(name)
        A, rest = split.features(params, X)
        np.testing.assert_allclose(split.head(params, A, rest), apply(params, X), rtol=1e-5)
        assert jnp.abs(split.head(params, 2.0 * A, rest) - apply(params, X)).max() > 0.01


def test_the_planted_value_is_what_the_head_reads_everywhere():
    found = trace(residual, RESIDUAL, X)
    split = found.split("block0", scores="outputs")
    A, rest = split.features(RESIDUAL, X)

    def by_hand(x):
        y = jax.nn.relu(conv(x, RESIDUAL["a1"]))
        x = jax.nn.relu(x + conv(y, RESIDUAL["b1"]))
        return x.mean((1, 2))

    np.testing.assert_allclose(split.head(RESIDUAL, 3.0 * A, rest)["features"], by_hand(3.0 * A), rtol=1e-5)


def test_outputs_without_a_batch_axis_are_handed_through():
    split = trace(residual, RESIDUAL, X).split("block1")
    assert split.batched == (True, True, False)
    out = split.head(RESIDUAL, *split.features(RESIDUAL, X[:1]))
    assert out["version"] == 3.0


def test_a_layer_behind_the_logits_can_be_computed():
    def apply(p, x):
        z = conv(x, p)
        with scope("probabilities"):
            return jax.nn.softmax(z)

    params = kernel(1, 1, 3, 4)
    split = trace(apply, params, X).split("probabilities")
    A, rest = split.features(params, X)
    np.testing.assert_allclose(A, apply(params, X), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(split.head(params, A, rest), conv(X, params), rtol=1e-5, atol=1e-7)


def doubled_slope():
    """The identity with twice its derivative, after a convolution in a scope of its own."""

    @jax.custom_jvp
    def f(x, w):
        with scope("inside"):
            y = conv(x, w)
        return jnp.tanh(y)

    f.defjvp(lambda primals, tangents: (f(*primals), 100.0 * jnp.ones_like(f(*primals))))

    def apply(p, x):
        with scope("stem"):
            x = conv(x, p["stem"])
        return f(x, p["a"][0]).mean((1, 2))

    return apply


def test_a_custom_derivative_is_kept_unless_the_layer_is_inside():
    apply = doubled_slope()
    found = trace(apply, RESIDUAL, X)

    def slope(name):
        split = found.split(name)
        A, rest = split.features(RESIDUAL, X[:1])
        return jax.jvp(lambda a: split.head(RESIDUAL, a, rest), (A,), (jnp.ones_like(A),))[1]

    np.testing.assert_allclose(slope("stem"), 100.0, rtol=1e-5)
    inside = found.split("inside")
    A, _ = inside.features(RESIDUAL, X[:1])
    autodiff = jax.jvp(lambda a: jnp.tanh(a).mean((1, 2)), (A,), (jnp.ones_like(A),))[1]
    np.testing.assert_allclose(slope("inside"), autodiff, rtol=1e-5)
    notes = {layer.name: layer.note for layer in found.layers}
    assert (notes["stem"], notes["inside"]) == ("", "inside a custom derivative, which is bypassed")


def test_captured_arrays_are_read_and_not_differentiated_away():
    table = jax.random.normal(jax.random.key(3), (80, 80))

    def apply(p, x):
        with scope("layer"):
            y = conv(x, p)
        return y.reshape(y.shape[0], -1)[:, :80] @ table

    params = kernel(3, 3, 3, 4)
    split = trace(apply, params, X).split("layer")
    A, rest = split.features(params, X)
    np.testing.assert_allclose(split.head(params, A, rest), apply(params, X), rtol=1e-4, atol=1e-5)


def test_a_split_is_what_jit_and_vmap_take():
    split = trace(residual, RESIDUAL, X).split("block0", scores="outputs")

    @jax.jit
    def run(params, x):
        return split.head(params, *split.features(params, x))["scores"]

    one = jax.vmap(lambda x: run(RESIDUAL, x[None])[0])(X)
    np.testing.assert_allclose(one, residual(RESIDUAL, X)["scores"], rtol=1e-5)
    assert hash(split) == hash(dataclasses.replace(split))
