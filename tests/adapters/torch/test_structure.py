"""What a module may read, write and return: buffers, tied weights, in-place values, several inputs and outputs."""

from __future__ import annotations

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

X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def as_jax(tree):
    return jax.tree.map(lambda t: jnp.asarray(t.numpy()), tree)


def check(module: nn.Module, x: torch.Tensor = X) -> camjax.Model:
    """Convert, and compare the outputs."""
    model = camjax_torch.from_torch(module.eval(), x)
    with torch.no_grad():
        np.testing.assert_allclose(model(as_jax(x)), module(x.clone()).numpy(), rtol=1e-4, atol=1e-5)
    return model


def gradcam(module: nn.Module, layer: str, x: tuple[torch.Tensor, ...], score) -> np.ndarray:
    """sum_k mean(dS/dA_k) A_k, by autograd [batch, height, width]; `score(outputs)` has an entry for each example."""
    held = []
    handle = module.get_submodule(layer).register_forward_hook(lambda _, __, output: held.append(output))
    scores = score(module.eval()(*x))
    handle.remove()
    (gradient,) = torch.autograd.grad(scores.sum(), held[0])
    return (gradient.mean((2, 3), keepdim=True) * held[0]).sum(1).detach().numpy()


class Residual(nn.Module):
    """A residual block as torchvision writes it, its values overwritten or not."""

    def __init__(self, in_place: bool):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.relu, self.down = nn.ReLU(in_place), nn.Conv2d(3, 4, 1)
        self.conv2, self.head = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 5)

    def forward(self, x):
        y = self.conv2(self.relu(self.norm(self.conv(x))))
        if self.relu.inplace:
            y += self.down(x)
            y.mul_(0.5)
        else:
            y = (y + self.down(x)) * 0.5
        return self.head(self.relu(y).mean((2, 3)))


def test_in_place_operations_give_the_map_of_the_module_without():
    """At the default layer, and at one whose values are overwritten."""
    plain, in_place = (perturbed(Residual(flag)) for flag in (False, True))
    in_place.load_state_dict(plain.state_dict())
    models = [camjax_torch.from_torch(module, X) for module in (plain, in_place)]
    tables = [str(camjax.layers(model, as_jax(X))) for model in models]
    assert tables[0] == tables[1]
    assert "\n*  relu#1 " in tables[0]
    explain = jax.jit(lambda model: [camjax.explain(model, as_jax(X), 3, layer=at).raw for at in (None, "norm")])
    maps = [explain(model) for model in models]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *maps)
    expected = gradcam(plain, "norm", (X,), lambda outputs: outputs[:, 3])
    np.testing.assert_allclose(maps[1][1], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert all(np.abs(raw).max() > 1e-4 for raw in maps[0])


class Both(nn.Module):
    """A picture and a question about it; scores of each pixel and of the whole, in a dict and a tuple."""

    def __init__(self):
        super().__init__()
        self.features, self.asked = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(6, 4)
        self.pixels, self.whole = nn.Conv2d(4, 5, 1), nn.Linear(4, 2)

    def forward(self, picture, question):
        y = functional.gelu(self.features(picture)) * self.asked(question)[:, :, None, None]
        return {"out": self.pixels(y), "rest": (self.whole(y.mean((2, 3))), y.amax((1, 2, 3)))}


@pytest.fixture(scope="module")
def both():
    module = perturbed(Both())
    x = (X, torch.randn(2, 6, generator=torch.Generator().manual_seed(1)))
    return module, x, camjax_torch.from_torch(module, x)


SCORES = {
    "of a region": (lambda o: o["out"][2, :4].sum(), lambda o: o["out"][:, 2, :4].sum((1, 2))),
    "of a tuple's entry": (lambda o: o["rest"][0][1], lambda o: o["rest"][0][:, 1]),
}


@pytest.mark.parametrize("name", SCORES)
def test_several_inputs_and_outputs_are_explained(both, name):
    module, x, model = both
    ours, torchs = SCORES[name]
    result = camjax.explain(model, as_jax(x), ours, layer="features")
    expected = gradcam(module, "features", x, torchs)
    np.testing.assert_allclose(result.raw, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert result.heatmap.shape == (2, 8, 8)


def test_a_class_of_several_outputs_asks_which(both):
    _, x, model = both
    with pytest.raises(ValueError, match=r"target: which of .*\['out'\]: float32\[5, 8, 8\], \['rest'\]\[0\]"):
        camjax.explain(model, as_jax(x), 1, layer="features")


def test_tied_weights_are_held_once():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(2))
            self.three, self.four = (nn.Linear(3, 3) for _ in range(2))
            self.two.weight, self.four.weight = self.one.weight, self.three.weight

        def forward(self, x):
            return self.four(self.three(self.two(self.one(x).relu()).mean((2, 3))))

    model = check(Tied())
    assert sorted(value.shape for value in model.params.values()) == [(3,)] * 4 + [(3, 3), (3, 3, 3, 3)]


class Held(nn.Module):
    """Buffers that are saved or not, indices, a mask, constants of the code, and a count of the calls."""

    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0]))
        self.register_buffer("order", torch.tensor([2, 0, 1]), persistent=False)
        self.register_buffer("mask", torch.eye(8).bool())
        self.register_buffer("calls", torch.tensor(0.0))
        self.attribute = torch.tensor(0.5)

    def forward(self, x):
        self.calls += 1
        x = x[:, self.order] * self.scale[:, None, None] + self.attribute * self.calls
        return x.masked_fill(self.mask, -1.0) * torch.tensor([1.0, 2.0])[None, :1, None, None]


def test_buffers_and_constants_are_parameters_and_stay_as_they_are():
    module = Held()
    model = camjax_torch.from_torch(module, X)
    assert module.calls == 0
    assert {"scale", "order", "mask", "calls"} < set(model.params)
    for _ in range(2):  # each is the module's first call
        got = model(as_jax(X))
        module.calls.zero_()
        np.testing.assert_allclose(got, module(X).numpy(), rtol=1e-6, atol=1e-6)


def branching(x):
    return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,))


def masked(x):
    return x[x > 0].sum()


def counted(x):
    return torch.nonzero(x).float().mean()


def shortened(x):
    return x[:, : int(x[0, 0, 0, 0].item())]


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        (branching, NotImplementedError, r"depends on values.*\n  cond in inner: values decide what is computed\n"),
        (masked, NotImplementedError, r"\n  aten\.index\.Tensor in inner: values decide the shape of its.*\n.*factor"),
        (counted, NotImplementedError, r"\n  aten\.nonzero\.default in inner: values decide the shape of its result"),
        (shortened, ValueError, r"cannot turn Outer into a graph(.|\n)*data-dependent(.|\n)*depends on values"),
    ],
)
def test_control_flow_that_depends_on_values_is_refused_with_the_reason(function, error, text):
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = type("Inner", (nn.Module,), {"forward": lambda self, x: function(x)})()

        def forward(self, x):
            return self.inner(x.relu())

    with pytest.raises(error, match=text):
        camjax_torch.from_torch(Outer(), X)


def test_loops_and_branches_that_the_example_decides_are_taken():
    class Fixed(nn.Module):
        def forward(self, x):
            for i in range(3):
                x = x * 0.5 + i if x.shape[-1] == 8 else x.relu()
            return x if self.training else x.tanh()

    check(Fixed())
