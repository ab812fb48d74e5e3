"""NNX modules of every make, wrapped and unwrapped side by side."""

import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from camjax_flax import from_nnx
from flax import linen as nn
from flax import nnx

from tests.adapters.flax.scopes import scopes, stacks

X = jax.random.normal(jax.random.key(1), (2, 8, 8, 3))


class ConvBlock(nnx.Module):
    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.conv = nnx.Conv(inputs, outputs, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(outputs, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(nnx.relu(self.norm(self.conv(x))))


class Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.stem = ConvBlock(3, 4, rngs)
        self.blocks = nnx.List([ConvBlock(4, 4, rngs), ConvBlock(4, 6, rngs)])
        self.head = nnx.Linear(6, 5, rngs=rngs)

    def features(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return x

    def __call__(self, x):
        return self.head(self.features(x).mean((1, 2)))


def perturbed(module: Any) -> Any:
    """The module with its floating variables away from their initial zeros and ones."""
    rng = np.random.default_rng(0)
    state = nnx.state(module, nnx.Not(nnx.RngState))
    shaken = jax.tree.map(lambda v: v + rng.uniform(0.1, 0.5, v.shape).astype(np.float32), state)
    nnx.update(module, shaken)
    return module


@pytest.fixture(scope="module")
def net():
    return perturbed(Net(nnx.Rngs(0)))


@jax.jit
def run(model, x):
    return model(x)


def evaluated(module, *args):
    """The outputs of a copy of the module in evaluation mode, by NNX alone."""
    copy = nnx.clone(module)
    copy.eval()
    return nnx.jit(lambda m, *xs: m(*xs))(copy, *args)


def test_outputs_are_those_of_the_module_in_evaluation_mode(net):
    model = from_nnx(net, labels=list("abcde"))
    expected = evaluated(net, X)
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(run(model, X), expected, rtol=1e-6)
    np.testing.assert_allclose(model(X), expected, rtol=1e-5)
    assert model.labels == ("a", "b", "c", "d", "e")


def snapshot(module):
    """Everything a module is: its objects, classes, static attributes and values."""
    graphdef, state = nnx.split(module)
    objects = [(path, id(part), type(part), sorted(vars(part))) for path, part in nnx.iter_modules(module)]
    values = [np.asarray(jax.random.key_data(v) if is_key(v) else v) for v in jax.tree.leaves(state)]
    return graphdef, objects, values


def is_key(value):
    return jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def test_module_classes_and_mode_are_untouched(net):
    classes = (Net, ConvBlock, nnx.Conv, nnx.BatchNorm, nnx.Dropout, nnx.Linear, nnx.List)
    before, methods = snapshot(net), [dict(vars(cls)) for cls in classes]
    model = from_nnx(net)
    model(X)
    jax.jit(jax.grad(lambda m: m(X).sum()))(model)
    after = snapshot(net)
    assert before[:2] == after[:2]
    jax.tree.map(np.testing.assert_array_equal, before[2], after[2])
    assert methods == [dict(vars(cls)) for cls in classes]
    assert net.stem.dropout.deterministic is False
    assert net.stem.norm.use_running_average is False
    assert not any("#" in name for name in map(str, scopes(lambda m, x: evaluated(m, x), net, X)))


def test_the_values_are_the_leaves_and_a_snapshot(net):
    module = nnx.clone(net)
    model = from_nnx(module)
    assert len(jax.tree.leaves(model)) == 3 * 6 + 2
    before = np.asarray(model(X))
    module.head.kernel[...] = module.head.kernel[...] * 2
    np.testing.assert_array_equal(model(X), before)
    gradient = jax.jit(jax.grad(lambda m: m(X).sum()))(model)
    assert gradient.params["blocks"][1]["norm"]["mean"].shape == (6,)


def test_scopes_are_absolute_paths_with_methods_by_name(net):
    found = scopes(from_nnx(net), X)
    blocks = ("stem", "blocks.0", "blocks.1")
    parts = {f"@{block}.{part}#0" for block in blocks for part in ("conv", "norm", "dropout")}
    assert set(found) == {"@features#0", "@head#0", *(f"@{block}#0" for block in blocks), *parts}
    assert found["@blocks.1.conv#0"] >= {"conv_general_dilated", "add"}
    assert found["@stem.dropout#0"] == {"name"}
    assert ("@features#0", "@stem#0", "@stem.conv#0") in stacks(from_nnx(net), X)


def test_a_custom_method_is_the_root_of_its_own_explanation(net):
    model = from_nnx(net, method="features")
    assert model(X).shape == (2, 8, 8, 6)
    assert not {name for name in scopes(model, X) if "features" in name or "head" in name}


class Shared(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.first = ConvBlock(3, 3, rngs)
        self.again = self.first
        self.parts = nnx.Dict(inner=self.first.conv)

    def __call__(self, x):
        return self.parts["inner"](self.again(self.first(x))).mean((1, 2))


def test_a_shared_module_is_listed_under_every_path_and_its_calls_are_counted():
    module = perturbed(Shared(nnx.Rngs(0)))
    model = from_nnx(module)
    np.testing.assert_allclose(run(model, X), evaluated(module, X), rtol=1e-6)
    assert len(jax.tree.leaves(model)) == 6
    found = {entry: set() for stack in stacks(model, X) for entry in stack}
    for stack in stacks(model, X):
        for entry in stack:
            found[entry] |= set(stack)
    for call in (0, 1):
        assert f"@again#{call}" in found[f"@first#{call}"]
        assert f"@again.conv#{call}" in found[f"@first.conv#{call}"]
    assert found["@parts.inner#2"] == {"@first.conv#2", "@again.conv#2", "@parts.inner#2"}
    assert max(int(name.split("#")[1]) for name in found) == 2


class Child(nnx.Module):
    def __init__(self, parent: Any, rngs: nnx.Rngs):
        self.parent = parent
        self.linear = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x):
        return self.linear(x)


class Cyclic(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.child = Child(self, rngs)

    def __call__(self, x):
        return self.child(x)


def test_a_module_that_knows_its_parent():
    found = scopes(from_nnx(Cyclic(nnx.Rngs(0))), X)
    assert set(found) == {"@child#0", "@child.linear#0"}


class Layer(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.linear = nnx.Linear(3, 3, rngs=rngs)

    def __call__(self, x):
        return nnx.relu(self.linear(x))


class Transformed(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.a, self.b, self.c = Layer(rngs), Layer(rngs), Layer(rngs)
        self.stack = self._stacked(rngs)
        self.seq = nnx.Sequential(nnx.Linear(3, 3, rngs=rngs), nnx.relu, Layer(rngs))

    def _stacked(self, rngs: nnx.Rngs):
        @nnx.split_rngs(splits=4)
        @nnx.vmap(in_axes=(0,), out_axes=0)
        def create(rngs):
            return Layer(rngs)

        return create(rngs)

    @nnx.jit
    def embed(self, x):
        return self.a(x)

    def __call__(self, x):
        x = self.embed(x)
        x = nnx.jit(lambda m, x: m(x))(self.b, x)
        x = nnx.remat(lambda m, x: m(x))(self.c, x)

        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        def forward(x, layer):
            return layer(x)

        return self.seq(forward(x, self.stack))


@pytest.mark.parametrize("first", ["wrapped", "unwrapped"])
def test_transforms_keep_their_own_scopes(first):
    module = perturbed(Transformed(nnx.Rngs(0)))
    if first == "unwrapped":
        evaluated(module, X)
    model = from_nnx(module)
    np.testing.assert_allclose(run(model, X), evaluated(module, X), rtol=1e-6)
    found = scopes(model, X)
    layers = ("a", "b", "c", "stack", "seq.layers.2")
    expected = {"embed", "seq", "seq.layers.0", *layers, *(f"{layer}.linear" for layer in layers)}
    assert {name.split("#")[0] for name in found} == {f"@{name}" for name in expected}
    owners = {"embed": "a"}
    for stack in stacks(model, X):
        roots = [name[1:].split("#")[0].split(".")[0] for name in stack]
        assert len({owners.get(root, root) for root in roots}) == 1, "scopes of another module's trace"


class Noisy(nnx.Module):
    """Changes counters and statistics, and draws noise, even in evaluation mode."""

    def __init__(self, rngs: nnx.Rngs):
        self.calls = nnx.Variable(jnp.zeros((), jnp.int32))
        self.rngs = rngs
        self.linear = nnx.Linear(3, 2, rngs=rngs)
        self.norm = nnx.BatchNorm(2, rngs=rngs)

    def __call__(self, x):
        self.calls[...] += 1
        self.norm.use_running_average = False
        x = self.norm(self.linear(x).mean((1, 2)))
        return x + jax.random.normal(self.rngs.noise(), x.shape)


def test_what_a_call_changes_is_dropped_and_noise_repeats():
    module = Noisy(nnx.Rngs(0, noise=1))
    before = snapshot(module)
    model = from_nnx(module)
    out = model(X)
    np.testing.assert_allclose(run(model, X), out, rtol=1e-4)
    jax.jit(jax.vmap(lambda x: model(x[None])))(X)
    jax.grad(lambda x: run(model, x).sum())(X)
    np.testing.assert_array_equal(model(X), out)
    np.testing.assert_array_equal(from_nnx(module)(X), out)
    jax.tree.map(np.testing.assert_array_equal, before[2], snapshot(module)[2])


class TwoInputs(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.image, self.question = nnx.Linear(3, 4, rngs=rngs), nnx.Linear(7, 4, rngs=rngs)

    def __call__(self, image, question, scale: float = 1.0):
        return scale * self.image(image).mean((1, 2)) + self.question(question)


def test_a_model_can_be_jitted_as_the_function_that_it_is(net):
    model = from_nnx(net)
    np.testing.assert_allclose(jax.jit(model)(X), run(model, X), rtol=1e-5)


def test_several_inputs_come_as_a_tuple_or_by_name():
    module, question = TwoInputs(nnx.Rngs(0)), jnp.ones((2, 7))
    expected = module(X, question, scale=2.0)
    model = from_nnx(module, scale=2.0)
    np.testing.assert_array_equal(model((X, question)), expected)
    np.testing.assert_array_equal(model({"question": question, "image": X}), expected)


class Plain(nnx.Module, pytree=False):
    """A module that is no pytree, with a configuration that cannot be hashed."""

    def __init__(self, rngs: nnx.Rngs):
        self.sizes = {"a": [1, 2]}
        self.layers = [nnx.Linear(3, 3, rngs=rngs), nnx.Linear(3, 2, rngs=rngs)]

    @property
    def depth(self):
        return len(self.layers)

    @staticmethod
    def scale(x):
        return 2 * x

    def __call__(self, x):
        for layer in self.layers[: self.depth]:
            x = self.scale(layer(x))
        return x


def test_modules_that_are_no_pytrees():
    module = Plain(nnx.Rngs(0))
    model = from_nnx(module)
    np.testing.assert_array_equal(model(X), module(X))
    assert set(scopes(model, X)) == {"@layers.0#0", "@layers.1#0"}


def test_an_equal_module_compiles_nothing_new(net):
    traces = []

    @jax.jit
    def counted(model, x):
        traces.append(1)
        return model(x)

    counted(from_nnx(net), X)
    trained = nnx.clone(net)
    trained.eval()
    perturbed(trained)
    trained.stem.dropout.rngs.count[...] += 5
    counted(from_nnx(trained), X)
    assert len(traces) == 1
    counted(from_nnx(net, method="features"), X)
    assert len(traces) == 2


def test_vmap_and_grad_go_through_and_threads_count_apart(net):
    model = from_nnx(net)
    np.testing.assert_allclose(jax.jit(jax.vmap(lambda x: model(x[None])[0]))(X), model(X), rtol=1e-4)
    assert jnp.abs(jax.jit(jax.grad(lambda x: model(x)[0, 0]))(X)).max() > 0
    found = []
    threads = [threading.Thread(target=lambda: found.append(set(scopes(model, X)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [set(scopes(model, X))] * 3


def test_wrapping_inside_a_traced_function(net):
    graphdef, state = nnx.split(net)

    @jax.jit
    def inside(state, x):
        return from_nnx(nnx.merge(graphdef, state))(x)

    np.testing.assert_allclose(inside(state, X), from_nnx(net)(X), rtol=1e-5)
    np.testing.assert_allclose(run(from_nnx(net), X), inside(state, X), rtol=1e-6)


def test_errors_say_what_to_do(net):
    with pytest.raises(
        TypeError,
        match=r"from_nnx: TwoInputs\.__call__ needs 2 arguments \(image, question\), got one .*the tuple x",
    ):
        from_nnx(TwoInputs(nnx.Rngs(0)))(X)
    with pytest.raises(TypeError, match=r"from_nnx: Net\.__call__ has no argument 'train'; it takes x\."):
        from_nnx(net, train=False)
    with pytest.raises(TypeError, match=r"method='encode' is no method of Net"):
        from_nnx(net, method="encode")
    with pytest.raises(
        TypeError,
        match=r"must be a flax\.nnx\.Module instance, got Dense; a Linen module goes to .*from_linen",
    ):
        from_nnx(nn.Dense(3))
    with pytest.raises(TypeError, match=r"got the class Net; create an instance"):
        from_nnx(Net)
