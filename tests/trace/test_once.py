"""A depthwise sum that is averaged and used again is computed once on a CPU, and is what it was."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import camjax
from camjax.trace import _cpu_order
from camjax.trace._cpu_once import averaged, once
from camjax.trace._flatten import flatten
from tests.trace.nets import conv, kernel

PARAMS = {"taps": kernel(3, 3, 1, 64), "bias": kernel(1, 1, 1, 64), "head": kernel(64, 4)}
X = jax.random.normal(jax.random.key(0), (8, 14, 14, 64))


def summed(params, x):
    return conv(x, params["taps"], feature_group_count=64) + params["bias"]


def normalised(params, x):
    """A convolution and a layer normalisation, as ConvNeXt begins its blocks."""
    y = jnp.transpose(jnp.transpose(summed(params, x), (0, 3, 1, 2)), (0, 2, 3, 1))
    y = (y - y.mean(-1, keepdims=True)) * lax.rsqrt(y.var(-1, keepdims=True) + 1e-6)
    with jax.named_scope("last"):
        y = jnp.tanh(y)
    return y.mean((1, 2)) @ params["head"]


def counted(x):
    return x * x.sum()


def kept(f):
    program = flatten(jax.make_jaxpr(f)(PARAMS, X), len(PARAMS), None)
    return averaged(program.equations, lambda e: e.name == "conv_general_dilated")


def squeezed(activation):
    """The entries of a convolution, each channel by a gate that depends on their mean: MobileNetV3's."""

    def f(params, x):
        y = activation(summed(params, x))
        return y * jnp.tanh(y.mean((1, 2), keepdims=True))

    return f


@pytest.mark.parametrize(
    "f",
    [
        normalised,
        pytest.param(squeezed(jax.nn.relu), id="relu"),
        pytest.param(squeezed(lambda y: y * jnp.clip(y + 3, 0, 6)), id="hard swish"),
    ],
)
def test_what_is_averaged_and_used_again_is_kept(f):
    assert [value.shape for value in kept(f)] == [X.shape]


@pytest.mark.parametrize(
    "f",
    [
        pytest.param(lambda params, x: summed(params, x).mean((1, 2)), id="averaged alone"),
        pytest.param(lambda params, x: jnp.tanh(summed(params, x)) @ params["head"], id="no average"),
        pytest.param(lambda params, x: x.mean((1, 2), keepdims=True) * summed(params, x), id="another is averaged"),
        pytest.param(lambda params, x: x.mean((1, 2)) @ params["head"], id="no convolution"),
        pytest.param(lambda params, x: counted(jnp.int32(summed(params, x) > 0)), id="integers"),
    ],
)
def test_all_else_is_left_to_the_compiler(f):
    assert kept(f) == set()


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="reads a program that is compiled for a CPU")
def test_its_sum_is_in_one_loop_of_the_compiled_program(monkeypatch):
    loops = []
    for keep in (once, lambda x: x):
        monkeypatch.setattr(_cpu_order, "once", keep)
        model = camjax.Model(lambda params, x: normalised(params, x), PARAMS)
        explain = jax.jit(camjax.explainer(model, X, layer="last"))
        text = explain.lower(model, X, 1).compile().as_text() or ""
        bodies = re.findall(r"^%?[\w.-]+ \([^\n]*\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
        loops.append(sum(body.count(" slice(") >= 9 for body in bodies))
    assert loops[0] == 1 < loops[1]


def test_it_is_what_it_was_and_so_is_its_derivative():
    x = jnp.array([1.5, -2.0, 0.0, jnp.inf, -jnp.inf, jnp.nan])
    np.testing.assert_array_equal(once(x), x)
    chex.assert_trees_all_equal(jax.jvp(once, (x,), (2 * jnp.ones_like(x),))[1], 2 * jnp.ones_like(x))
    model = camjax.Model(normalised, PARAMS)
    plain = camjax.Model(normalised, PARAMS, rewrite=False)
    maps = [camjax.explain(m, X, 1, layer="last").raw for m in (model, plain)]
    np.testing.assert_allclose(*maps, rtol=1e-4, atol=1e-6)
