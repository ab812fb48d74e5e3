"""`from_torch` on small modules: what it leaves alone, what it takes, and what it says when it cannot."""

from __future__ import annotations

from collections import OrderedDict

import camjax_torch
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import camjax
from tests.adapters.torch.architectures import perturbed
from tests.adapters.torch.scopes import scope_calls

X = torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def outputs(module: nn.Module, x: torch.Tensor = X):
    module.eval()
    with torch.no_grad():
        return jax.tree.map(lambda t: t.numpy(), module(x))


def as_jax(x: torch.Tensor = X):
    return jnp.asarray(x.numpy())


def calls(model: camjax.Model) -> set[tuple[str, int]]:
    return scope_calls(jax.make_jaxpr(model.apply)(model.params, as_jax()).jaxpr)


def network(*tail: nn.Module) -> nn.Module:
    return perturbed(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), *tail))


def check(module: nn.Module, x: torch.Tensor = X) -> camjax.Model:
    """Convert from one example, and compare the outputs for three."""
    model = camjax_torch.from_torch(module, x[:1])
    jax.tree.map(
        lambda got, expected: np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5),
        model(as_jax(x)),
        outputs(module, x),
    )
    return model


def test_the_module_stays_as_it_was():
    module = network(nn.Dropout())
    module.train()
    module[1].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    camjax_torch.from_torch(module, X[:1])
    assert [part.training for part in module.modules()] == [True, True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_weights_are_copies_even_where_turning_them_moves_nothing(dtype):
    module = perturbed(nn.Sequential(nn.Conv2d(3, 1, 1), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(6, 1)))
    model = camjax_torch.from_torch(module.to(dtype), X[:1].to(dtype))
    before = jax.tree.map(np.array, model.params)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.zero_()
    assert all(np.array_equal(value, before[name]) for name, value in model.params.items())


def test_evaluation_mode_whatever_the_mode_of_the_module():
    module = network().train()
    np.testing.assert_allclose(camjax_torch.from_torch(module, X)(as_jax()), outputs(module), rtol=1e-4, atol=1e-5)


def test_parameters_are_flat_in_flax_layout_and_hold_every_weight():
    module = network(nn.Flatten(), nn.Linear(144, 5))
    model = camjax_torch.from_torch(module, X)
    assert {name: value.shape for name, value in model.params.items()} == {
        "0.weight": (3, 3, 3, 4), "0.bias": (4,), "1.weight": (4,), "1.bias": (4,), "1.running_mean": (4,),
        "1.running_var": (4,), "4.weight": (144, 5), "4.bias": (5,),
    }  # fmt: skip
    zero = jax.tree.map(jnp.zeros_like, model.params)
    assert jnp.abs(model.apply(zero, as_jax())).max() == 0, "the function holds no weights of its own"


def test_a_model_is_a_stable_jit_argument():
    model = camjax_torch.from_torch(network(), X)
    assert hash(model.apply) == hash(model.apply)
    assert model.apply != camjax_torch.from_torch(network(), X).apply
    traces = []

    @jax.jit
    def run(model, x):
        traces.append(1)
        return model(x)

    for _ in range(2):
        run(model, as_jax())
    assert len(traces) == 1


def test_any_batch_size_and_vmap_over_single_examples():
    class Reshaping(nn.Module):
        def forward(self, x):
            b, c, h, w = x.shape
            y = x.view(b, c, h * w).transpose(1, 2).reshape(b * h, w * c)
            return y.view(b, -1).chunk(2, dim=1)[0] + y.reshape(b, h, -1).mean((1, 2))[:, None]

    model = check(Reshaping())
    for batch in (1, 2, 5):
        x = torch.randn(batch, 3, 8, 8)
        np.testing.assert_allclose(model(as_jax(x)), outputs(Reshaping(), x), rtol=1e-5, atol=1e-6)
    single = jax.vmap(lambda x: model(x[None])[0])(as_jax())
    np.testing.assert_allclose(single, model(as_jax()), rtol=1e-5, atol=1e-6)


def test_scopes_nest_and_count_the_calls_of_a_shared_module():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x):
            return self.relu(self.relu(self.conv(x)) - 0.1)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Block()

        def forward(self, x):
            return self.block(self.block(x))

    model = check(Twice())
    found = calls(model)
    assert {path for path, _ in found} == {"block", "block.conv", "block.relu"}
    assert len({call for path, call in found if path == "block"}) == 2
    assert len({call for path, call in found if path == "block.conv"}) == 2
    assert len({call for path, call in found if path == "block.relu"}) == 4


def test_dropout_is_marked_as_computing_nothing():
    model = check(network(nn.Dropout(), nn.Conv2d(4, 2, 1)))
    jaxpr = jax.make_jaxpr(model.apply)(model.params, as_jax())
    marked = [e for e in jaxpr.eqns if e.primitive.name == "name"]
    assert [str(e.source_info.name_stack) for e in marked] == ["@3#0"]
    assert marked[0].params["name"] == "camjax:identity"


class InPlaceChain(nn.Module):
    """The usual in-place activation, whose input is not read again by another name."""

    def forward(self, x):
        y = x * 2
        y.add_(1)
        functional.relu(y, inplace=True)
        return y + x


class InPlaceOnView(nn.Module):
    """A slice is written, and the tensor that it belongs to is read."""

    def forward(self, x):
        y = x * 2
        y[:, 0] = 0.0
        y[:, 1:].mul_(3)
        return y


class InPlaceOnCopy(nn.Module):
    """The copy is written, the original is not."""

    def forward(self, x):
        y = x * 2
        z = y.clone()
        z.relu_()
        return y + z


class InPlaceReshaped(nn.Module):
    """A reshaped view is written, and read as such alone."""

    def forward(self, x):
        y = (x * 2).flatten(1)
        y.relu_()
        return y


@pytest.mark.parametrize("module", [InPlaceChain(), InPlaceOnView(), InPlaceOnCopy(), InPlaceReshaped()])
def test_in_place_operations_mean_what_they_mean_in_torch(module):
    check(module)


def test_a_tied_weight_keeps_torchs_layout_and_is_turned_where_it_is_used():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 4))

        def forward(self, indices):
            return functional.linear(functional.embedding(indices, self.weight), self.weight)

    indices = torch.tensor([[0, 5], [1, 2], [3, 3]])
    model = check(Tied(), indices)
    assert model.params["weight"].shape == (6, 4)


def test_a_computed_kernel_is_turned_where_it_is_used():
    class Standardised(nn.Conv2d):
        def forward(self, x):
            weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
            return functional.conv2d(x, weight, self.bias)

    check(Standardised(3, 4, 3))


def test_several_inputs_and_outputs_keep_their_structure():
    class Two(nn.Module):
        def forward(self, image, scale):
            scaled = image * scale[:, :, None, None]
            return OrderedDict(mean=scaled.mean((2, 3)), parts=(scaled[:, 0], scale))

    image, scale = X, torch.rand(3, 3)
    expected = Two()(image, scale)
    for example, x in [
        ((image, scale), (as_jax(), as_jax(scale))),
        ({"scale": scale, "image": image}, {"scale": as_jax(scale), "image": as_jax()}),
    ]:
        got = camjax_torch.from_torch(Two(), example)(x)
        assert type(got) is dict
        np.testing.assert_allclose(got["mean"], expected["mean"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(got["parts"][1], scale)
    model = camjax_torch.from_torch(Two(), (image, scale))
    with pytest.raises(ValueError, match=r"converted with an example of the structure .*got .*same structure"):
        model(as_jax())


def test_an_input_of_another_shape_is_refused_in_words():
    model = camjax_torch.from_torch(network(), X)
    with pytest.raises(ValueError, match=r"inputs of shape \[any, 3, 8, 8\] .*torch's layout\), got \(2, 8, 8, 3\)"):
        model(jnp.zeros((2, 8, 8, 3)))
    with pytest.raises(ValueError, match=r"got \(3, 8, 8\); pass that shape, or convert again with an example"):
        model(jnp.zeros((3, 8, 8)))


def test_an_input_may_bear_the_name_of_a_parameter():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.x = nn.Parameter(torch.tensor(2.0))
            self.mul = nn.Parameter(torch.tensor(3.0))

        def forward(self, x):
            return x * self.x + self.mul

    check(Named())


def test_an_in_place_operation_keeps_the_dtype_of_what_it_writes():
    class Narrow(nn.Module):
        def forward(self, x):
            half = x.half()
            half.add_(x)
            return half

    assert check(Narrow())(as_jax()).dtype == jnp.float16


def test_bfloat16_stays_bfloat16():
    module = network().bfloat16().eval()
    x = X.bfloat16()
    model = camjax_torch.from_torch(module, x)
    got = model(jnp.asarray(X.numpy(), jnp.bfloat16))
    assert got.dtype == model.params["0.weight"].dtype == jnp.bfloat16
    with torch.no_grad():
        np.testing.assert_allclose(got.astype("float32"), module(x).float().numpy(), rtol=0.05, atol=0.05)


def test_64_bits_are_refused_in_words_and_work_where_jax_has_them():
    module = network().double()
    with pytest.raises(ValueError, match=r"0\.weight is float64.*module\.float\(\).*jax_enable_x64"):
        camjax_torch.from_torch(module, X.double())
    with jax.enable_x64(True):
        model = camjax_torch.from_torch(module, X.double())
        got = model(jnp.asarray(X.double().numpy()))
        assert got.dtype == jnp.float64
        np.testing.assert_allclose(got, outputs(module, X.double()), rtol=1e-12, atol=1e-12)


def test_labels_and_preprocess_are_handed_on():
    preprocess = camjax.Preprocess(size=(8, 8), layout="NCHW")
    model = camjax_torch.from_torch(network(), X, labels=["a", "b"], preprocess=preprocess)
    assert model.labels == ("a", "b")
    assert model.preprocess is preprocess


def test_all_unsupported_operations_are_named_with_their_modules():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.qr(x)[0]

    class Random(nn.Module):
        def forward(self, x):
            return x + torch.randn_like(x)

    module = nn.Sequential(OrderedDict(a=nn.ReLU(), odd=Odd(), b=nn.Sequential(Random(), Odd())))
    with pytest.raises(NotImplementedError) as raised:
        camjax_torch.from_torch(module, X)
    text = str(raised.value)
    assert "no JAX function is known for 2 of the module's operations" in text
    assert "aten.linalg_qr.default in b.1, odd" in text
    assert "aten.randn_like.default in b.0" in text
    assert "camjax_torch.op(NAME)" in text


def test_an_operation_can_be_entered_by_the_user(monkeypatch):
    monkeypatch.setattr("camjax_torch.ops._table.TABLE", (table := dict(camjax_torch.ops.TABLE)))
    camjax_torch.op("linalg_qr.default")(lambda x, mode="reduced": jnp.linalg.qr(x, mode))
    assert "linalg_qr.default" in table
    with pytest.raises(ValueError, match=r"relu\.default is in the table twice"):
        camjax_torch.op("relu.default")(jax.nn.relu)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (nn.BatchNorm2d(3, track_running_stats=False), r"without running statistics.*give it running statistics"),
        (type("Always", (nn.Module,), {"forward": lambda self, x: functional.dropout(x)})(), r"drops values at random"),
    ],
)
def test_a_module_that_is_no_function_of_one_example_is_refused(module, text):
    with pytest.raises(NotImplementedError, match=text):
        camjax_torch.from_torch(module, X)


def test_control_flow_on_values_is_refused_with_torchs_reason():
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match=r"cannot turn Branch into a graph(.|\n)*control flow that depends on values"):
        camjax_torch.from_torch(Branch(), X)


@pytest.mark.parametrize(
    ("example", "error", "text"),
    [
        (None, TypeError, r"example must be a tensor.*got a NoneType|got nothing"),
        (np.zeros((1, 3, 8, 8)), TypeError, r"got a ndarray.*torch\.zeros\(1, 3, 224, 224\)"),
        ((), TypeError, r"got nothing"),
        ((torch.zeros(2, 3), torch.zeros(3, 3)), ValueError, r"one batch size.*got \[2, 3\]"),
        (torch.zeros(0, 3, 8, 8), ValueError, r"at least 1; got \[0\]"),
    ],
)
def test_a_wrong_example_is_refused(example, error, text):
    with pytest.raises(error, match=text):
        camjax_torch.from_torch(network(), example)


def test_something_that_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"must be a torch\.nn\.Module, got str; .*camjax_torch\.load\(path"):
        camjax_torch.from_torch("resnet50", X)
