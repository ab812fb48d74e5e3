"""Equinox modules of every make, wrapped and unwrapped side by side."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from camjax_equinox import from_equinox

import camjax

X = jax.random.normal(jax.random.key(1), (2, 3, 8, 8))


class Block(eqx.Module):
    convs: list
    drop: eqx.nn.Dropout

    def __init__(self, key):
        one, two = jax.random.split(key)
        relu = eqx.nn.Lambda(jax.nn.relu)
        self.convs = [eqx.nn.Conv2d(4, 4, 3, padding=1, key=one), relu, eqx.nn.Conv2d(4, 4, 3, padding=1, key=two)]
        self.drop = eqx.nn.Dropout(0.5)

    def __call__(self, x, *, key=None):
        y = x
        for layer in self.convs:
            y = layer(y)
        return x + self.drop(y, key=key)


class Net(eqx.Module):
    stem: eqx.nn.Conv2d
    norm: eqx.nn.BatchNorm
    blocks: eqx.nn.Sequential
    head: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 4)
        self.stem = eqx.nn.Conv2d(3, 4, 3, 2, padding=1, key=keys[0])
        self.norm = eqx.nn.BatchNorm(4, "batch", mode="batch")
        self.blocks = eqx.nn.Sequential([Block(keys[1]), Block(keys[2])])
        self.head = eqx.nn.Linear(4, 5, key=keys[3])

    def features(self, x, state, key=None):
        x, state = self.norm(self.stem(x), state)
        return self.blocks(jax.nn.relu(x), key=key), state

    def __call__(self, x, state, key):
        x, state = self.features(x, state, key)
        return self.head(x.mean((1, 2))), state


@pytest.fixture(scope="module")
def net():
    """A network after some training steps' worth of statistics, and its state."""
    module, state = eqx.nn.make_with_state(Net)(jax.random.key(0))
    step = eqx.filter_vmap(module, axis_name="batch", in_axes=(0, None, None), out_axes=(0, None))
    for _ in range(2):
        _, state = step(3 * X + 1, state, jax.random.key(0))
    return module, state


def reference(net, x=X):
    module, state = eqx.nn.inference_mode(net)
    run = jax.vmap(lambda x: module(x, state, None)[0], axis_name="batch")
    return run(x)


def test_outputs_are_those_of_the_module_in_inference_mode(net):
    module, state = net
    model = from_equinox(module, state=state)
    np.testing.assert_allclose(model(X), reference(net), rtol=1e-6)
    assert not module.blocks[0].drop.inference  # the user's module stays in training mode


def test_layers_are_paths(net):
    found = camjax.layers(from_equinox(net[0], state=net[1]), X)
    names = {name for layer in found for name in (layer.name, *layer.aliases)}
    assert {"stem", "norm", "blocks", "blocks.layers.1", "blocks.layers.0.convs.2", "head"} <= names
    assert "blocks" in (found.default.name, *found.default.aliases)
    assert "computes nothing" in next(layer.note for layer in found if layer.name == "blocks.layers.0.drop")


def test_the_map_is_that_of_a_hand_written_head(net):
    model = from_equinox(net[0], state=net[1])
    got = camjax.explain(model, X, 2, size=None)
    module, state = eqx.nn.inference_mode(net)
    maps = jax.vmap(lambda x: module.features(x, state)[0], axis_name="batch")(X)
    gradient = jax.vmap(jax.grad(lambda A: module.head(A.mean((1, 2)))[2]))(maps)
    want = jnp.einsum("bkij,bk->bij", maps, gradient.mean((2, 3)))
    np.testing.assert_allclose(got.raw, want, atol=1e-5 * float(jnp.abs(want).max()))


def test_wrapping_again_and_new_weights_compile_nothing(net):
    module, state = net
    model = from_equinox(module, state=state)
    other = from_equinox(eqx.tree_at(lambda m: m.head.bias, module, module.head.bias + 1), state=state)
    assert model.apply == other.apply
    np.testing.assert_allclose(other(X), model(X) + 1, rtol=1e-5)


def test_a_module_without_state_several_inputs_another_method_and_a_shared_layer():
    class Two(eqx.Module):
        conv: eqx.nn.Conv1d
        linear: eqx.nn.Linear
        scale: float

        def score(self, a, b):
            with_a, with_b = self.conv(a), self.conv(b)
            return self.linear((jax.nn.relu(with_a) * self.scale + with_b).mean(-1))

    module = Two(eqx.nn.Conv1d(2, 4, 3, key=jax.random.key(0)), eqx.nn.Linear(4, 3, key=jax.random.key(1)), 2.0)
    model = from_equinox(module, method="score", labels=("x", "y", "z"))
    a, b = jax.random.normal(jax.random.key(2), (2, 5, 2, 9))
    np.testing.assert_allclose(model((a, b)), jax.vmap(module.score)(a, b), rtol=1e-6)
    names = [layer.name for layer in camjax.layers(model, (a, b))]
    assert {"conv#0", "conv#1"} <= set(names)
    got = camjax.explain(model, (a, b), "y", layer="conv#0", method=camjax.HiResCAM())
    assert got.heatmap.shape == (5, 9)


class Mixing(eqx.Module):
    """Modules of one token, mapped over the tokens."""

    norm: eqx.nn.LayerNorm
    linear: eqx.nn.Linear

    def __init__(self, key):
        self.norm, self.linear = eqx.nn.LayerNorm(6), eqx.nn.Linear(6, 6, key=key)

    def __call__(self, tokens):
        return tokens + jax.vmap(self.linear)(jax.vmap(self.norm)(tokens))


class Stacked(eqx.Module):
    """Blocks that were made by `eqx.filter_vmap`, and run by a scan."""

    patch: eqx.nn.Conv2d
    blocks: Mixing
    head: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        self.patch, self.head = eqx.nn.Conv2d(3, 6, 4, 4, key=keys[0]), eqx.nn.Linear(6, 5, key=keys[1])
        self.blocks = eqx.filter_vmap(Mixing)(jax.random.split(keys[2], 3))

    def tokens(self, x):
        arrays, rest = eqx.partition(self.blocks, eqx.is_array)

        def step(tokens, block):
            return eqx.combine(block, rest)(tokens), None

        return jax.lax.scan(step, self.patch(x).reshape(6, -1).T, arrays)[0]

    def __call__(self, x):
        return self.head(self.tokens(x).mean(0))


def test_modules_of_one_token_that_are_mapped_in_scanned_blocks():
    module = Stacked(jax.random.key(0))
    model = from_equinox(module)
    found = camjax.layers(model, X)
    assert {"patch", "blocks[0]", "blocks.norm[1]", "blocks.linear[2]"} <= {layer.name for layer in found}
    assert {"tokens", "blocks[2]"} <= {found.default.name, *found.default.aliases}
    got = camjax.explain(model, X, 2, size=None)
    want = (jax.vmap(module.tokens)(X) @ module.head.weight[2] / 4).reshape(2, 2, 2)
    np.testing.assert_allclose(got.raw, want, atol=1e-5 * float(jnp.abs(want).max()))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((Net,), "module must be an equinox.Module instance, got the class Net; create an instance"),
        ((jax.nn.relu,), "must be an equinox.Module instance, got .*jit|got function|got custom_jvp"),
    ],
)
def test_what_is_no_module_is_refused(arguments, text):
    with pytest.raises(TypeError, match=text):
        from_equinox(*arguments)


def test_a_missing_state_method_or_setting_is_named(net):
    with pytest.raises(TypeError, match=r"Net is stateful; pass state=, the second thing that eqx.nn.make_with_state"):
        from_equinox(net[0])
    with pytest.raises(TypeError, match="method='forward' is no method of Net"):
        from_equinox(net[0], state=net[1], method="forward")
    with pytest.raises(TypeError, match=r"Net.__call__ has no argument 'train'"):
        from_equinox(net[0], state=net[1], train=False)
