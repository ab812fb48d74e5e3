"""Haiku functions with and without state, wrapped and unwrapped side by side."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from camjax_haiku import from_haiku

import camjax

X = jax.random.normal(jax.random.key(1), (2, 16, 16, 3))


class Block(hk.Module):
    def __call__(self, x):
        y = jax.nn.relu(hk.Conv2D(4, 3)(x))
        return x + hk.Conv2D(4, 3)(y)


class Net(hk.Module):
    def __init__(self, name=None):
        super().__init__(name)
        self.stem = hk.Conv2D(4, 3, stride=2, name="stem")

    def features(self, x, is_training):
        x = hk.BatchNorm(True, True, 0.9)(jax.nn.relu(self.stem(x)), is_training)
        return jax.nn.relu(Block()(Block()(x)))

    def __call__(self, x, is_training):
        return hk.Linear(5)(self.features(x, is_training).mean((1, 2)))


@pytest.fixture(scope="module")
def net():
    transformed = hk.transform_with_state(lambda x, is_training: Net()(x, is_training))
    params, state = transformed.init(jax.random.key(0), X, True)
    _, state = transformed.apply(params, state, None, 2 * X + 1, True)
    return transformed, params, state


def test_outputs_are_those_of_apply_in_evaluation(net):
    transformed, params, state = net
    want, _ = transformed.apply(params, state, None, X, False)
    np.testing.assert_allclose(from_haiku(*net, is_training=False)(X), want, rtol=1e-6)


def test_layers_are_module_names(net):
    found = camjax.layers(from_haiku(*net, is_training=False), X)
    names = [layer.name for layer in found]
    assert {"net.stem", "net.features.batch_norm", "net.features.block.conv2_d_1", "net.linear"} <= {
        name for layer in found for name in (layer.name, *layer.aliases)
    }
    assert len(names) == len(set(names))
    assert found.default.name == "net.features"


def test_the_map_is_that_of_a_hand_written_head(net):
    _, params, state = net
    got = camjax.explain(from_haiku(*net, is_training=False), X, 2, size=None)
    maps = hk.transform_with_state(lambda x: Net().features(x, False)).apply(params, state, None, X)[0]
    want = maps @ params["net/linear"]["w"][:, 2] / (maps.shape[1] * maps.shape[2])
    np.testing.assert_allclose(got.raw, want, atol=1e-5 * float(jnp.abs(want).max()))


def test_without_state_and_without_random_numbers():
    function = hk.transform(lambda x: hk.Sequential([hk.Conv1D(4, 3), jax.nn.relu, lambda x: x.mean(1)])(x))
    x = jax.random.normal(jax.random.key(0), (2, 9, 3))
    params = function.init(jax.random.key(0), x)
    for transformed in (function, hk.without_apply_rng(function)):
        model = from_haiku(transformed, params, labels=("a", "b", "c", "d"))
        assert camjax.explain(model, x, "c").heatmap.shape == (2, 9)


def test_stacked_and_rematerialised_layers():
    def maps(x):
        x = hk.remat(hk.Conv2D(4, 3, name="stem"))(x)
        return hk.experimental.layer_stack(3)(lambda x: jax.nn.relu(hk.Conv2D(4, 3, name="block")(x)))(x)

    trunk = hk.without_apply_rng(hk.transform(maps))
    function = hk.without_apply_rng(hk.transform(lambda x: hk.Linear(5, name="head")(maps(x).mean((1, 2)))))
    params = function.init(jax.random.key(0), X)
    model = from_haiku(function, params)
    found = camjax.layers(model, X)
    assert [layer.name for layer in found][:3] == ["stem", "block[0]", "after:block[0]"]
    assert found.default.name == "after:block[2]"
    want = trunk.apply(params, X) @ params["head"]["w"][:, 2] / 256
    np.testing.assert_allclose(camjax.explain(model, X, 2, size=None).raw, want, atol=1e-5 * float(jnp.abs(want).max()))


def test_what_does_not_fit_is_refused_in_words(net):
    transformed, params, _ = net
    with pytest.raises(TypeError, match=r"what hk.transform\(f\).*got function\. .*hk\.Transformed\(multi\.init"):
        from_haiku(lambda x: x, params)
    with pytest.raises(
        TypeError, match=r"hk.transform_with_state returns a function that needs its state; pass the one"
    ):
        from_haiku(transformed, params)
    with pytest.raises(TypeError, match=r"hk.transform returns a function without state, so state= must be left out"):
        from_haiku(hk.transform(lambda x: x), {}, {})
