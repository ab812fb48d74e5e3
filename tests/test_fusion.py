"""Several layers: one forward and one backward pass, and any fusion of their maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import fusion
from tests import models

NAMES = ("stem", "body", "top")


def apply(params, x):
    for name, stride in zip(NAMES, (1, 2, 2), strict=True):
        with jax.named_scope(name):
            x = jax.nn.relu(models.conv(x, params[name], stride))
            with jax.named_scope("inside"):
                y = jax.nn.relu(models.conv(x, params[name + "2"]))
            x = x + y
    return x.mean((1, 2)) @ params["out"]


def params():
    shapes = {"stem": (3, 3, 3, 8), "body": (3, 3, 8, 16), "top": (3, 3, 16, 16)}
    shapes |= {name + "2": (3, 3, shape[-1], shape[-1]) for name, shape in shapes.items()}
    keys = jax.random.split(jax.random.key(0), len(shapes))
    drawn = {name: jax.random.normal(k, s) / s[2] for k, (name, s) in zip(keys, shapes.items(), strict=True)}
    return drawn | {"out": jax.random.normal(jax.random.key(1), (16, 5))}


MODEL = camjax.Model(apply, params())
X = jax.random.normal(jax.random.key(2), (2, 16, 16, 3))


def by_hand(fuse, layers=NAMES, method=None):
    """The fusion of the maps of separate calls, one example after the other."""
    method = method or camjax.GradCAM()
    raws = [camjax.explain(MODEL, X, 1, layer=name, method=method, size=None).raw for name in layers]
    grid = max((raw.shape[1:] for raw in raws), key=np.prod)
    return [fuse([raw[b] for raw in raws], lambda map: jax.image.resize(map, grid, "linear")) for b in range(len(X))]


@pytest.mark.parametrize("name", sorted(fusion.FUSIONS))
def test_a_fusion_is_that_of_the_layers_own_maps(name):
    got = camjax.explain(MODEL, X, 1, layer=NAMES, fusion=name)
    assert got.raw.shape == (2, 16, 16)
    assert got.heatmap.shape == (2, 16, 16)
    assert got.weights is None
    np.testing.assert_allclose(got.raw, by_hand(fusion.FUSIONS[name]), rtol=1e-4, atol=1e-5)


def test_the_fusions_as_they_are_written():
    maps = [jnp.array([[2.0, 4.0], [-1.0, 0.0]]), jnp.array([[3.0]])]
    whole = lambda map: jnp.broadcast_to(map, (2, 2))  # noqa: E731 - as short as what it stands for
    first = np.array([[0.5, 1.0], [0.0, 0.0]])
    for name, want in {
        "mean": (first + 1) / 2,
        "max": np.maximum(first, 1),
        "sum": np.array([[5.0, 7.0], [2.0, 3.0]]),
        "product": first,
        "layercam": np.maximum(np.tanh(2 * first), 1),
    }.items():
        np.testing.assert_allclose(fusion.FUSIONS[name](maps, whole), want, rtol=1e-6, err_msg=name)


def test_stages_are_the_last_layers_of_each_resolution_that_nothing_bypasses():
    got = camjax.explain(MODEL, X, 1, layer="stages", fusion="product")
    want = camjax.explain(MODEL, X, 1, layer=NAMES, fusion="product")
    np.testing.assert_array_equal(got.raw, want.raw)


def test_a_layer_that_is_called_stages_is_itself():
    def apply(w, x):
        with jax.named_scope("stages"):
            x = jax.nn.relu(models.conv(jax.nn.relu(models.conv(x, w["stem"])), w["body"], 2))
        return x.mean((1, 2)) @ w["out"]

    model = camjax.Model(apply, params())
    assert camjax.layers(model, X).default.name == "stages"
    assert camjax.explain(model, X, 1, layer="stages", size=None).raw.shape == (2, 8, 8)
    assert camjax.explain(model, X, 1, layer=["stages"], size=None).raw.shape == (2, 8, 8)


def test_all_layers_come_from_one_forward_and_one_backward_pass():
    """The flops of three layers are those of the first alone, whose backward pass is the longest."""

    def flops(layer):
        f = camjax.explainer(MODEL, X, layer=layer, size=None)
        program = jax.jit(lambda model, x: f(model, x, np.array([[1]])).raw).lower(MODEL, X).compile()
        return program.cost_analysis()["flops"]

    assert flops(list(NAMES)) <= 1.03 * flops("stem")


def test_a_fusion_of_ones_own_and_one_that_returns_another_grid():
    last = camjax.explain(MODEL, X, 1, layer=NAMES, fusion=lambda maps, resize: resize(maps[-1])).raw
    alone = camjax.explain(MODEL, X, 1, layer="top", size=None).raw
    np.testing.assert_allclose(last[0], jax.image.resize(alone[0], (16, 16), "linear"), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"fusion: <lambda> returned a map of shape \(4, 4\), expected.*\(16, 16\)"):
        camjax.explain(MODEL, X, 1, layer=NAMES, fusion=lambda maps, resize: maps[-1])


def test_what_cannot_be_fused_is_refused_in_words():
    with pytest.raises(ValueError, match=r"fusion: got 'median', expected one of 'mean', 'max'"):
        camjax.explain(MODEL, X, 1, layer=NAMES, fusion="median")
    with pytest.raises(ValueError, match=r"fusion: .* layer='top' is one; pass a list of names, or layer='stages'"):
        camjax.explain(MODEL, X, 1, layer="top", fusion="mean")
    with pytest.raises(ValueError, match="layer: got an empty list"):
        camjax.explain(MODEL, X, 1, layer=[])
    with pytest.raises(ValueError, match=r"layer: no layer is called .bodi.; the closest are"):
        camjax.explain(MODEL, X, 1, layer=["stem", "bodi"])
