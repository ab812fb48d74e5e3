"""Bias sites: which there are, what their biases are, and that everything adds up to the score."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import camjax
from camjax import testing
from camjax.trace import traced
from tests.trace.nets import conv


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64():
        yield


@jax.custom_vjp
def reversed_sine(z):
    """With three times the derivative, the wrong way round: in the backward pass it is what it says it is."""
    return jnp.sin(z)


reversed_sine.defvjp(lambda z: (jnp.sin(z), z), lambda z, g: (-3 * g * jnp.cos(z),))


def row(v):
    return v[None, None, None]


LAYERS = {
    "batch norm": lambda p, h: (h - row(p["b"])) * row(p["c"]) + row(p["d"]),
    "relu": lambda p, h: jax.nn.relu(h),
    "relu6": lambda p, h: jax.nn.relu6(4 * h),
    "leaky relu": lambda p, h: jax.nn.leaky_relu(h),
    "gelu": lambda p, h: jax.nn.gelu(h, approximate=False),
    "silu": lambda p, h: jax.nn.silu(h),
    "hard swish": lambda p, h: jax.nn.hard_swish(3 * h),
    "layer norm": lambda p, h: (
        (h - h.mean(-1, keepdims=True)) * lax.rsqrt(h.var(-1, keepdims=True) + 1e-5) * row(p["c"]) + row(p["d"])
    ),
    "max pool": lambda p, h: lax.reduce_window(h, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 1, 1, 1), "SAME"),
    "padded": lambda p, h: jnp.pad(h, ((0, 0), (1, 0), (0, 0), (0, 0)), constant_values=1.5)[:, 1:],
    "attention": lambda p, h: jax.nn.softmax(h @ h.swapaxes(2, 3)) @ h,
    "gate": lambda p, h: h * jax.nn.sigmoid(h.mean((1, 2), keepdims=True)),
    "selection": lambda p, h: jnp.where(h > 1, h, 2.0),
    "custom vjp": lambda p, h: reversed_sine(h),
    "scan": lambda p, h: lax.scan(lambda h, _: (reversed_sine(h @ row(p["k"][0, 0])[0, 0]) + h, None), h, length=2)[0],
    "branch": lambda p, h: lax.cond(h.sum() > 0, jnp.tanh, jnp.square, h),
    "gradient stopped": lambda p, h: h - lax.stop_gradient(h.max()),
    "one-hot": lambda p, h: h + jax.nn.one_hot(h.argmax(-1), 3, dtype=h.dtype),
}


def network(names):
    def apply(p, x):
        h = conv(x, p["k"]) + row(p["b"])
        for name in names:
            h = conv(LAYERS[name](p, h), p["k"])
        return jnp.tanh(h.mean((1, 2)) @ p["k"][0, 0] + p["d"][None])

    return apply


def params(seed=0):
    rng = np.random.default_rng(seed)
    shapes = {"k": (3, 3, 3, 3), "b": 3, "c": 3, "d": 3}
    return {name: jnp.asarray(rng.normal(size=shape) * (0.5 if name == "k" else 1)) for name, shape in shapes.items()}


X = np.random.default_rng(1).normal(size=(1, 4, 4, 3))


@pytest.mark.parametrize("names", [sorted(LAYERS)[i::6] for i in range(6)], ids=", ".join)
def test_the_terms_add_up_to_the_score_for_every_way_to_be_nonlinear(names):
    testing.complete(camjax.Model(network(names), params()), jnp.asarray(X), 1)


@settings(max_examples=2)
@given(st.integers(0, 2**31), st.lists(st.sampled_from(sorted(LAYERS)), min_size=2, max_size=4))
def test_the_terms_add_up_for_random_networks(seed, names):
    testing.complete(camjax.Model(network(names), params(seed)), jnp.asarray(X), [[0, 2]])


def sites(apply, p=None, x=X):
    """The names of the sites of a model with a first convolution, those of the input and of the target apart."""
    model = camjax.Model(lambda p, x: apply(p, conv(x, p["k"])), params() if p is None else p)
    found = traced(model, jnp.asarray(x))
    split = found.whole()
    terms = found.sites().terms(split, split.bound(model.params), jnp.asarray(x), lambda out: out.sum())
    assert [terms[0].name, terms[-1].name] == ["input", "target"]
    return terms[1:-1]


def test_what_is_linear_or_a_relu_or_a_maximum_has_no_bias():
    def apply(p, h):
        h = conv(jax.nn.relu(h) * row(p["c"]), p["k"])
        h = jnp.maximum(h, -h).max(1) + jnp.abs(h).mean(1) - h[:, 0].sum(1, keepdims=True)
        return jnp.concatenate([h, h], 1).reshape(h.shape[0], -1) / 3

    assert not sites(apply)


def test_a_batch_norm_is_one_site_however_it_is_written():
    with_name = jax.named_scope("bn")

    def centred(p, h):
        with with_name:
            return ((h - row(p["b"])) * row(p["c"]) + row(p["d"])).mean((1, 2))

    def scaled(p, h):
        return (h * row(p["c"]) + row(p["d"] - p["b"] * p["c"])).mean((1, 2))

    (one,), (other,) = sites(centred), sites(scaled)
    assert (one.name, other.name) == ("bn:add", "add")
    np.testing.assert_allclose(one.values, other.values, rtol=1e-12)
    p = params()
    want = row(p["d"] - p["b"] * p["c"]) / 16  # b g, where g = 1 / Z
    np.testing.assert_allclose(one.values, jnp.broadcast_to(want, (1, 4, 4, 3)), rtol=1e-12)
    assert (one.axes.grid, one.axes.channels) == ((4, 4), 3)


def test_a_value_that_is_read_twice_keeps_its_own_site():
    def apply(p, h):
        h = h + row(p["b"])
        return (h * 2 + row(p["d"])).mean((1, 2)) + (h * h).mean((1, 2))

    assert [term.name for term in sites(apply)] == ["add", "add", "mul"]


def test_what_relu6_cuts_off_is_a_bias():
    (site,) = sites(lambda p, h: jax.nn.relu6(9 * h).sum((1, 2)))
    h = 9 * conv(jnp.asarray(X), params()["k"])
    np.testing.assert_allclose(site.values, np.where(h > 6, 6, 0), atol=1e-12)
    assert (site.values > 0).any()


def test_a_mean_over_channels_lies_on_the_grid_and_a_fully_connected_bias_does_not():
    def apply(p, h):
        weights = jax.nn.sigmoid(h.mean(-1, keepdims=True))
        return (weights * h).mean((1, 2)) + p["d"][None]

    found = {term.name: term.axes for term in sites(apply)}
    assert found["logistic"].channels == 1
    assert found["logistic"].grid == found["mul"].grid == (4, 4)
    assert found["add"] is None


def test_a_while_loop_is_refused_in_words():
    def apply(p, x):
        return lax.while_loop(lambda h: h.sum() < 9, lambda h: h * h + 1, conv(x, p["k"])).mean((1, 2))

    with pytest.raises(ValueError, match=r"model: it has a while loop .* use jax.lax.scan or a fori_loop with fixed"):
        testing.complete(camjax.Model(apply, params()), jnp.asarray(X), 1)


def test_completeness_fails_in_words_where_the_sum_is_not_the_score():
    @jax.custom_vjp
    def nonlinear_rule(z):
        return z * z

    nonlinear_rule.defvjp(lambda z: (z * z, z), lambda z, g: (2 * jnp.abs(g) * z,))  # no derivative is like this
    model = camjax.Model(lambda p, x: -nonlinear_rule(conv(x, p["k"])).mean((1, 2)), params())
    with pytest.raises(AssertionError, match=r"complete: example 0, target 0: the score is .* Is a derivative in the"):
        testing.complete(model, jnp.asarray(X), 0)


def test_several_targets_inputs_and_tails():
    def apply(p, x):
        h = conv(x["picture"], p["k"]) * row(x["gain"][0]) + 1
        return jax.nn.softmax(jax.nn.gelu(h.mean((1, 2)) + p["d"][None]))

    x = {"picture": jnp.asarray(np.tile(X, (2, 1, 1, 1))), "gain": jnp.ones((2, 3)), "id": jnp.arange(2)}
    model = camjax.Model(lambda p, x: jax.vmap(lambda x: apply(p, jax.tree.map(lambda a: a[None], x))[0])(x), params())
    for scores in ("logits", "outputs"):
        testing.complete(model, x, camjax.targets.top(2), scores=scores)
    assert testing.completeness(model, x, [[0, 1]]).score.shape == (2, 2)
