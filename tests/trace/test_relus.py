"""ReLUs are found however they are written, what only looks like one is left alone, and the rule reaches all."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import camjax
from camjax.trace import _relus
from camjax.trace._flatten import flatten
from camjax.trace._program import live
from tests.trace.nets import kernel, trace

W = kernel(4, 4, key=4) * 8
X = jax.random.normal(jax.random.key(4), (1, 4))
ZERO = jnp.zeros(())


def found(f, x=X):
    """The caps of the ReLUs of `f(x W) W`, and the other nonlinearities by name."""
    program = flatten(jax.make_jaxpr(lambda W, x: f(x @ W) @ W)(W, x), 1, None)
    relus, others = _relus.find(program, live(program.equations, program.outputs), {})
    return [relu.cap for relu in relus], others


PLAIN = {
    "jax.nn.relu": jax.nn.relu,
    "linen": nn.relu,
    "maximum": lambda z: jnp.maximum(z, 0),
    "swapped": lambda z: jnp.maximum(0, z),
    "zeros": lambda z: jnp.maximum(z, jnp.zeros_like(z)),
    "captured": lambda z: jnp.maximum(z, jnp.broadcast_to(ZERO, z.shape)),
    "clip": lambda z: jnp.clip(z, 0),
    "clamp": lambda z: jax.lax.clamp(0.0, z, math.inf),
    "where": lambda z: jnp.where(z > 0, z, 0),
    "where not": lambda z: jnp.where(z <= 0, 0, z),
    "where zero is": lambda z: jnp.where(jnp.less(0, z), z, jnp.zeros_like(z)),
    "mask": lambda z: z * (z > 0).astype(z.dtype),
    "square": lambda z: jnp.square(jax.nn.relu(z)),
    "residual": lambda z: z + jax.nn.relu(z) @ W,
    "root": lambda z: jnp.sqrt(jax.nn.relu(z) + 1e-3),
    "shifted": lambda z: jax.nn.relu(z + 1.0),
}
CAPPED = {
    "relu6": jax.nn.relu6,
    "clip": lambda z: jnp.clip(z, 0, 6),
    "min first": lambda z: jnp.maximum(jnp.minimum(z, 6), 0),
    "clamp": lambda z: jax.lax.clamp(0.0, z, 6.0),
    "min after relu": lambda z: jnp.minimum(jax.nn.relu(z), 6.0),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_relu_in_any_words(name):
    assert found(PLAIN[name]) == ([math.inf], [])


@pytest.mark.parametrize("name", CAPPED)
def test_a_capped_relu_in_any_words(name):
    assert found(CAPPED[name]) == ([6.0], [])


def test_both_halves_of_a_concatenated_relu_are_found():
    both = found(lambda z: jnp.concatenate([jax.nn.relu(z), jax.nn.relu(-z)], 1) @ jnp.ones((8, 4)))
    assert both == ([math.inf, math.inf], [])


PART = "a function with a ReLU as a part, such as softplus, CELU or hard-swish"
NONE = {
    "hard swish": (jax.nn.hard_swish, PART),
    "hard swish by hand": (lambda z: z * jnp.clip(0.2 * z + 0.5, 0, 1), PART),
    "hard sigmoid": (jax.nn.hard_sigmoid, "hard sigmoid"),
    "softplus": (jax.nn.softplus, PART),
    "celu": (jax.nn.celu, PART),
    "elu": (jax.nn.elu, "ELU (expm1)"),
    "two slopes": (lambda z: jax.nn.relu(z) - 0.25 * jax.nn.relu(-z), PART),
    "leaky": (jax.nn.leaky_relu, "leaky ReLU"),
    "gelu": (lambda z: jax.nn.gelu(z, approximate=False), "GELU (erfc)"),
    "silu": (jax.nn.silu, "sigmoid or SiLU (logistic)"),
    "log": (lambda z: jnp.log(jnp.maximum(z.mean(1, keepdims=True) ** 2, 0.0) + 1e-6) + z, None),
    "never": (lambda z: jnp.minimum(jnp.maximum(z, 0.0), -1.0), None),
    "weights": (lambda z: z @ jax.nn.relu(W), None),
    "numbers": (lambda z: jnp.maximum(z.astype(jnp.int32), 0).astype(z.dtype), None),
    "two of them": (lambda z: jnp.maximum(z, z @ W), None),
    "a floor": (lambda z: jnp.maximum(z, 0.1), None),
}


@pytest.mark.parametrize("name", NONE)
def test_what_only_looks_like_one(name):
    f, word = NONE[name]
    relus, others = found(f)
    assert relus == []
    assert others == [] if word is None else word in others


@pytest.mark.parametrize(
    "norm", [nn.LayerNorm(), nn.GroupNorm(2), nn.InstanceNorm(), nn.BatchNorm(use_running_average=False)], ids=repr
)
def test_the_variance_of_a_normalisation_is_none(norm):
    z = jax.random.normal(jax.random.key(0), (1, 5, 4))
    variables = norm.init(jax.random.key(1), z)
    assert "max" in str(jax.make_jaxpr(lambda z: norm.apply(variables, z, mutable=["batch_stats"])[0])(z))
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        relus, others = found(lambda z: norm.apply(variables, jax.nn.relu(z), mutable=["batch_stats"])[0], z)
    assert (relus, others) == ([math.inf], [])


def test_a_picture_clipped_to_its_range_is_none_and_features_clipped_to_it_are():
    program = flatten(jax.make_jaxpr(lambda W, x: jnp.clip(jnp.clip(x, 0, 1) @ W, 0, 1))(W, X), 1, None)
    relus, _ = _relus.find(program, live(program.equations, program.outputs), {})
    assert len(relus) == 1
    assert relus[0].output is program.outputs[0]


def layer(z):
    return jax.nn.relu(z @ W)


@jax.custom_jvp
def doubled(z):
    return 2.0 * layer(z)


doubled.defjvp(lambda z, t: (2.0 * layer(z[0]), jax.jvp(lambda z: 2.0 * layer(z), z, t)[1]))


@jax.custom_vjp
def own(z):
    return jax.lax.scan(lambda z, _: (layer(z), None), z, length=2)[0]


own.defvjp(lambda z: jax.vjp(lambda z: layer(layer(z)), z), lambda pull, g: pull(g))


@jax.custom_vjp
def steep(z):
    return z + jnp.exp(jnp.minimum(z, 0.0))


steep.defvjp(lambda z: (steep(z), None), lambda _, g: (3.0 * g,))


def scanned(z, zero=None):
    def body(z, W):
        return jnp.maximum(z @ W, 0.0 if zero is None else zero), z.sum()

    z, sums = jax.lax.scan(body, z, jnp.stack([W, W]))
    return z + sums.sum() * 1e-3


def unrolled(z):
    first = layer(z)  # once: a rule applied to each half of a gradient is not the rule applied to their sum
    return layer(first) + (z.sum() + first.sum()) * 1e-3


NESTED = {
    "plain": (lambda z: layer(layer(z)), None),
    "jit": (jax.jit(lambda z: jax.jit(layer)(layer(z))), lambda z: layer(layer(z))),
    "remat": (jax.checkpoint(lambda z: layer(layer(z))), lambda z: layer(layer(z))),
    "scan": (scanned, unrolled),
    "a scan with a captured zero": (lambda z: scanned(z, jnp.zeros((1, 4))), unrolled),
    "cond": (lambda z: jax.lax.cond(z.sum() > 99, jnp.sin, lambda z: layer(layer(z)), z), lambda z: layer(layer(z))),
    "custom_jvp": (lambda z: doubled(layer(z)), lambda z: 2.0 * layer(layer(z))),
    "custom_vjp around a scan": (own, lambda z: layer(layer(z))),
    "a derivative of its own beside it": (lambda z: layer(steep(layer(z))), None),
    "vmap": (jax.vmap(lambda z: layer(layer(z))), None),
}


def passed_back(f, x, rule):
    """What `rule` passes back to x from the first output of `f(x W) W`, and the model's own outputs."""
    apply = lambda W, x: f(x @ W) @ W  # noqa: E731 - named so that the trace is of this very function
    whole = trace(apply, W, x).whole("logits", rule)
    outputs = lambda x: whole.head(W, *whole.features(W, x))  # noqa: E731 - as above
    np.testing.assert_array_equal(jax.jit(outputs)(x), jax.jit(apply)(W, x))
    return jax.grad(lambda x: outputs(x)[0, 0])(x)


def by_hand(f, x, rule):
    """The same with the rule written into `f` by replacing `jax.nn.relu` in this file's `layer`."""

    @jax.custom_vjp
    def relu(z):
        return jnp.maximum(z, 0.0)

    def bwd(z, g):
        passes = (g > 0) & (z > 0) if rule == "guided" else g > 0
        return (g * passes.astype(g.dtype),)

    relu.defvjp(lambda z: (relu(z), z), bwd)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "layer", lambda z: relu(z @ W))
        return jax.grad(lambda x: (f(x @ W) @ W)[0, 0])(x)


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
@pytest.mark.parametrize("name", NESTED)
def test_the_rule_reaches_a_relu_wherever_it_is(name, rule):
    f, same = NESTED[name]
    want = by_hand(same or f, X, rule)
    got = passed_back(f, X, rule)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())
    plain = jax.grad(lambda x: (f(x @ W) @ W)[0, 0])(X)
    assert np.abs(got - plain).max() > 0.01 * np.abs(plain).max()


def test_a_model_without_relu_is_refused_with_what_it_has():
    x = jnp.zeros((1, 4))
    for f, words in (
        (lambda z: jax.nn.gelu(z, approximate=False), r"its nonlinearities are: GELU \(erfc\)\. Use a method"),
        (lambda z: jax.lax.scan(lambda z, _: (jnp.tanh(z), None), z, length=2)[0], r"are: tanh or GELU's approxim"),
        (lambda z: z, "are: none that is known by name"),
    ):
        model = camjax.Model(lambda W, x, f=f: f(x @ W) @ W, W)
        with pytest.raises(ValueError, match=rf"model: Guided Backprop.* this model has none; .*{words}"):
            camjax.attribute(model, x, 0, method=camjax.saliency.GuidedBackprop())
