"""Linen modules of every make, wrapped and unwrapped side by side."""

import copy
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from camjax_flax import from_linen
from flax import linen as nn
from flax.core import freeze

from tests.adapters.flax.scopes import scopes, stacks

X = jax.random.normal(jax.random.key(1), (2, 8, 8, 3))


class ConvBlock(nn.Module):
    features: int

    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.Conv(self.features, (3, 3))(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        return nn.Dropout(0.5, deterministic=not train)(nn.relu(x))


class Net(nn.Module):
    def setup(self):
        self.stem = ConvBlock(4)
        self.blocks = [ConvBlock(4), ConvBlock(6)]
        self.head = nn.Dense(5)

    def features(self, x, train: bool):
        x = self.stem(x, train)
        for block in self.blocks:
            x = block(x, train)
        return x

    def __call__(self, x, train: bool):
        return self.head(self.features(x, train).mean((1, 2)))


class Layer(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.relu(nn.Dense(3)(x))


class ScanLayer(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.relu(nn.Dense(3)(x)), None


def initialised(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """Variables that are nowhere at their initial zeros and ones, and variances that are positive."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(functools.partial(module.init, **kwargs), jax.random.key(0), *args)
    return jax.tree.map_with_path(
        lambda path, v: rng.uniform(0.1 if "var" in str(path) else -0.4, 0.8, v.shape).astype(v.dtype), shapes
    )


@pytest.fixture(scope="module")
def net():
    return Net(), initialised(Net(), X, train=False)


def test_outputs_are_those_of_the_unwrapped_module(net):
    module, variables = net
    model = from_linen(module, variables, labels=list("abcde"), train=False)
    expected = jax.jit(functools.partial(module.apply, train=False))(variables, X)
    assert expected.shape == (2, 5)
    assert np.ptp(expected) > 0.1
    np.testing.assert_array_equal(jax.jit(lambda m, x: m(x))(model, X), expected)
    np.testing.assert_allclose(model(X), expected, rtol=1e-5)
    assert model.labels == ("a", "b", "c", "d", "e")


def test_the_variables_are_the_leaves(net):
    module, variables = net
    model = from_linen(module, freeze(variables), train=False)
    assert len(jax.tree.leaves(model)) == len(jax.tree.leaves(variables)) == 3 * 6 + 2
    gradient = jax.jit(jax.grad(lambda m: m(X).sum()))(model)
    assert gradient.params["params"]["head"]["kernel"].shape == (6, 5)


def test_scopes_are_absolute_paths_with_methods_by_name(net):
    found = scopes(from_linen(*net, train=False), X)
    assert set(found) == {
        "@features#0",
        "@head#0",
        *(f"@{block}#0" for block in ("stem", "blocks_0", "blocks_1")),
        *(
            f"@{block}.{part}_0#0"
            for block in ("stem", "blocks_0", "blocks_1")
            for part in ("Conv", "BatchNorm", "Dropout")
        ),
    }
    assert found["@blocks_1.Conv_0#0"] >= {"conv_general_dilated", "add"}
    assert ("@features#0", "@stem#0", "@stem.Conv_0#0") in stacks(from_linen(*net, train=False), X)


def test_a_module_that_does_nothing_leaves_a_marker(net):
    assert scopes(from_linen(*net, train=False), X)["@stem.Dropout_0#0"] == {"name"}


def test_a_custom_method_is_the_root_of_its_own_explanation(net):
    module, variables = net
    model = from_linen(module, variables, method="features", train=False)
    np.testing.assert_array_equal(model(X), module.apply(variables, X, train=False, method="features"))
    assert not {name for name in scopes(model, X) if "features" in name or "head" in name}
    by_function = from_linen(module, variables, method=lambda m, x: m.features(x, False).sum((1, 2)))
    assert by_function(X).shape == (2, 6)
    assert "@features#0" in scopes(by_function, X)


class Shared(nn.Module):
    inner: nn.Module

    @nn.compact
    def __call__(self, x):
        x = self.inner(self.inner(x))
        layer = Layer(name="twice")
        return layer(layer(x))


def test_calls_of_a_shared_module_are_counted():
    module = Shared(nn.Dense(3))
    found = scopes(from_linen(module, initialised(module, X)), X)
    assert {"@inner#0", "@inner#1", "@twice#0", "@twice#1", "@twice.Dense_0#0", "@twice.Dense_0#1"} == set(found)


class Base(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(x)


class Derived(Base):
    def __call__(self, x):
        return nn.relu(super().__call__(x))


def test_super_is_the_same_call():
    module = nn.Sequential([Derived()])
    model = from_linen(module, initialised(module, X))
    assert set(scopes(model, X)) == {"@layers_0#0", "@layers_0.Dense_0#0"}


SharedJit = nn.jit(Layer)


class Lifted(nn.Module):
    """Every lifted transform; `SharedJit` traces one program for all its modules."""

    @nn.compact
    def __call__(self, x):
        x = SharedJit(name="jit_a")(x)
        x = SharedJit(name="jit_b")(x)
        x = nn.remat(Layer)(name="remat")(x)
        x, _ = nn.scan(ScanLayer, variable_axes={"params": 0}, split_rngs={"params": True}, length=4)(name="scan")(
            x, None
        )
        mapped = nn.vmap(Layer, in_axes=1, out_axes=1, variable_axes={"params": None}, split_rngs={"params": False})
        x = mapped(name="vmap")(x)
        doubled = nn.map_variables(Layer, "params", lambda p: jax.tree.map(lambda v: 2 * v, p), init=True)
        return doubled(name="doubled")(x)


@pytest.mark.parametrize("first", ["wrapped", "unwrapped"])
def test_lifted_transforms_keep_their_own_scopes(first):
    module = Lifted()
    variables = initialised(module, X)
    if first == "unwrapped":  # fills Linen's caches with programs that have no scopes of ours
        module.apply(variables, X)
    model = from_linen(module, variables)
    np.testing.assert_array_equal(model(X), module.apply(variables, X))
    paths = {name.split("#")[0] for name in scopes(model, X) if "dot_general" in scopes(model, X)[name]}
    names = ("jit_a", "jit_b", "remat", "scan", "vmap", "doubled")
    assert paths == {f"@{name}{inner}" for name in names for inner in ("", ".Dense_0")}
    for stack in stacks(model, X):
        assert len({name.split("#")[0].split(".")[0] for name in stack}) == 1, "scopes of another module's trace"


class Updating(nn.Module):
    @nn.compact
    def __call__(self, x):
        calls = self.variable("counters", "calls", lambda: jnp.zeros((), jnp.int32))
        if not self.is_initializing() and self.is_mutable_collection("counters"):
            calls.value += 1
        self.sow("intermediates", "seen", x)
        return nn.Dense(2)(x)


@pytest.mark.parametrize("kwargs", [{}, {"mutable": ["counters"]}, {"mutable": []}, {"capture_intermediates": True}])
def test_collections_are_read_only_and_only_outputs_come_back(kwargs):
    module = Updating()
    variables = {"params": initialised(module, X)["params"], "counters": {"calls": jnp.zeros((), jnp.int32)}}
    before = jax.tree.map(np.asarray, variables)
    model = from_linen(module, variables, **kwargs)
    assert isinstance(model(X), jax.Array)
    np.testing.assert_array_equal(model(X), module.apply(variables, X))
    jax.tree.map(np.testing.assert_array_equal, variables, before)


class Carried(nn.Module):
    """Layers that share their variables, all of which a scan carries; how often they ran is added."""

    carry: Any

    @nn.compact
    def __call__(self, x):
        moves = {"variable_carry": self.carry} if self.carry else {"variable_broadcast": True}
        scan = nn.scan(CountedLayer, split_rngs={"params": False}, length=2, **moves)
        return scan(name="layers")(x, None)[0].mean((1, 2))


class CountedLayer(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        calls = self.variable("counters", "calls", lambda: jnp.zeros(()))
        if not self.is_initializing() and self.is_mutable_collection("counters"):
            calls.value += 1
        return nn.relu(nn.Conv(3, (3, 3))(x)) + calls.value, None


@pytest.mark.parametrize("mutable", [True, ("params", "counters")])
@pytest.mark.parametrize("carry", [True, ("params", "counters")])
def test_a_scan_that_carries_collections(carry, mutable):
    variables = initialised(Carried(()), X)
    module = Carried(carry)
    model = from_linen(module, variables, mutable=mutable)
    np.testing.assert_array_equal(model(X), module.apply(variables, X, mutable=mutable)[0])
    assert {"@layers", "@layers.Conv_0"} == {name.split("#")[0] for name in scopes(model, X)}


def test_a_scan_that_carries_read_only_collections_is_refused_in_words():
    model = from_linen(Carried(True), initialised(Carried(()), X))
    with pytest.raises(ValueError, match=r"what is carried mutable: .*mutable=\('counters', 'params'\)"):
        model(X)


class TwoInputs(nn.Module):
    @nn.compact
    def __call__(self, image, question, scale: float = 1.0):
        return scale * nn.Dense(4)(image).mean((1, 2)) + nn.Dense(4)(question)


def test_several_inputs_come_as_a_tuple_or_by_name():
    module, question = TwoInputs(), jnp.ones((2, 7))
    variables = initialised(module, X, question)
    expected = module.apply(variables, X, question, scale=2.0)
    model = from_linen(module, variables, scale=2.0)
    np.testing.assert_array_equal(model((X, question)), expected)
    np.testing.assert_array_equal(model({"question": question, "image": X}), expected)
    np.testing.assert_array_equal(
        from_linen(module, variables, question=question)(X), module.apply(variables, X, question)
    )


def test_vmap_jit_and_grad_go_through(net):
    model = from_linen(*net, train=False)
    one = functools.partial(jax.vmap(lambda x: model(x[None])[0]))
    np.testing.assert_allclose(jax.jit(one)(X), model(X), rtol=1e-5)
    assert jnp.abs(jax.grad(lambda x: model(x)[0, 0])(X)).max() > 0


def test_an_equal_module_compiles_nothing_new(net):
    module, variables = net
    traces = []

    @jax.jit
    def run(model, x):
        traces.append(1)
        return model(x)

    run(from_linen(module, variables, train=False), X)
    run(from_linen(Net(), jax.tree.map(lambda v: v + 1, variables), train=False), X)
    assert len(traces) == 1
    run(from_linen(module, variables, train=False, method="features"), X)
    assert len(traces) == 2


def test_a_configuration_that_cannot_be_hashed_is_equal_only_to_itself():
    module = Updating()
    variables = {"params": initialised(module, X)["params"], "counters": {"calls": jnp.zeros((), jnp.int32)}}
    first, second = (from_linen(module, variables, rngs={"dropout": jax.random.key(0)}) for _ in range(2))
    assert first.apply != second.apply
    assert first.apply == first.apply
    np.testing.assert_array_equal(jax.jit(lambda m: m(X))(first), first(X))


def test_module_and_variables_are_untouched(net):
    module, variables = net
    before, fields = jax.tree.map(np.asarray, variables), copy.copy(vars(module))
    methods = {cls: dict(vars(cls)) for cls in (Net, ConvBlock, nn.Conv, nn.BatchNorm)}
    jax.jit(from_linen(module, variables, train=False).apply)(variables, X)
    assert vars(module) == fields
    assert methods == {cls: dict(vars(cls)) for cls in methods}
    jax.tree.map(np.testing.assert_array_equal, variables, before)
    assert set(variables) == {"params", "batch_stats"}


class Stochastic(nn.Module):
    @nn.compact
    def __call__(self, x, deterministic: bool | None = None):
        return nn.Dropout(0.5, deterministic=deterministic)(nn.Dense(2)(x))


def test_errors_say_what_to_pass(net):
    module, variables = net
    with pytest.raises(
        TypeError,
        match=r"from_linen: Net\.__call__ needs 2 arguments \(x, train\), got one input\. "
        r"Give settings as keywords, from_linen\(\.\.\., train=\.\.\.\)",
    ):
        from_linen(module, variables)(X)
    with pytest.raises(TypeError, match=r"from_linen: Net\.__call__ has no argument 'trian'; it takes x, train\."):
        from_linen(module, variables, trian=False)
    with pytest.raises(
        ValueError,
        match=r"from_linen: The module drew random numbers.*rngs=\{'dropout': key\}.*Linen said: .*dropout",
    ):
        from_linen(module, {**variables}, train=True, mutable=["batch_stats"])(X)
    with pytest.raises(ValueError, match=r"updated its statistics.*train=False.*Linen said: .*batch_stats"):
        from_linen(module, variables, train=True, rngs={"dropout": jax.random.key(0)})(X)
    with pytest.raises(
        ValueError,
        match=r"variables must be what module\.init returned.*got 'blocks_0', 'blocks_1', 'head', 'stem'\.",
    ):
        from_linen(module, variables["params"], train=False)(X)
    with pytest.raises(ValueError, match=r"variables must be .*got 'params'\. Linen said: .*batch_stats"):
        from_linen(module, {"params": variables["params"]}, train=False)(X)
    dropout = Stochastic()
    with pytest.raises(
        ValueError,
        match=r"needs 'deterministic'; pass it on: from_linen\(module, variables, deterministic=True\)",
    ):
        from_linen(dropout, initialised(dropout, X, deterministic=True))(X)
    with pytest.raises(TypeError, match=r"from_linen: method='encode' is no method of Net; give one's name"):
        from_linen(module, variables, method="encode")
    with pytest.raises(TypeError, match=r"variables must be the mapping .*got list"):
        from_linen(module, [1, 2])
    with pytest.raises(
        TypeError, match=r"must be a flax\.linen\.Module instance, got the class Net; create an instance"
    ):
        from_linen(Net, variables)
    with pytest.raises(TypeError, match=r"an NNX module goes to camjax_flax\.from_nnx"):
        from_linen(object(), variables)


def test_an_input_that_does_not_fit(net):
    with pytest.raises(ValueError, match=r"input has another number of channels.*Linen said: .*\(3, 3, 1, 4\)"):
        from_linen(*net, train=False)(X[..., :1])


def test_a_keyword_that_is_missing():
    class KeywordOnly(nn.Module):
        @nn.compact
        def __call__(self, x, *, train):
            return nn.BatchNorm(use_running_average=not train)(x)

    module = KeywordOnly()
    variables = initialised(module, X, train=False)
    with pytest.raises(TypeError, match=r"__call__ needs the keyword 'train'; give from_linen\(\.\.\., train=\.\.\.\)"):
        from_linen(module, variables)
    assert from_linen(module, variables, train=False)(X).shape == X.shape


class Nested(nn.Module):
    """`nn.jit` at the bottom of modules that have parameters and statistics side by side."""

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            x = Middle()(x)
        return x


class Middle(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=True)(SharedJit()(x))


def test_jitted_modules_below_statistics_keep_their_own_scopes():
    module = Nested()
    model = from_linen(module, initialised(module, X))
    for stack in stacks(model, X):
        assert len({name.split("#")[0].split(".")[0] for name in stack}) == 1, "scopes of another module's trace"
    assert {"@Middle_0.JitLayer_0.Dense_0#0", "@Middle_1.JitLayer_0.Dense_0#0"} <= set(scopes(model, X))


def test_the_modules_own_errors_come_through():
    class Broken(nn.Module):
        @nn.compact
        def __call__(self, x):
            raise ValueError("patch size 5 does not divide 8")

    with pytest.raises(ValueError, match=r"\Apatch size 5 does not divide 8"):
        from_linen(Broken(), {})(X)
