"""The pipe as users call it: shapes, dtypes, status, what runs and what does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import Status
from tests import models


@pytest.fixture(scope="module")
def model():
    return models.model()


@pytest.fixture(scope="module")
def x():
    return models.pictures()


def explain(model, x, target=None, **options):
    return camjax.explain(model, x, target, **({"layer": models.POOLED} | options))


def test_shapes_without_and_with_the_axis_of_targets(model, x):
    got = jax.tree.map(jnp.shape, explain(model, x, 1)._asdict(), is_leaf=lambda v: v is None or hasattr(v, "shape"))
    assert got == {
        "heatmap": (3, 6, 6), "raw": (3, 6, 6), "weights": (3, 5), "score": (3,), "target": (3,), "status": (3,)
    }  # fmt: skip
    got = explain(model, x, [[0, 1]], size=(11, 13))
    assert got.heatmap.shape == (3, 2, 11, 13)
    assert got.raw.shape == (3, 2, 6, 6)
    assert got.weights.shape == (3, 2, 5)


def test_a_traced_layer_and_a_hand_written_split_agree(model, x):
    for layer in (None, "conv"):
        got, want = explain(model, x, [[0, 2]], layer=layer), explain(model, x, [[0, 2]])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, want)


def test_the_heatmap_is_between_zero_and_one_and_reaches_one(model, x):
    got = explain(model, x, [[0, 1, 2, 3]], size=(24, 24))
    assert (got.heatmap >= 0).all()
    np.testing.assert_allclose(got.heatmap.max((2, 3)), jnp.where(got.status == Status.EMPTY, 0, 1), rtol=1e-6)
    np.testing.assert_array_equal(got.status == Status.EMPTY, got.raw.max((2, 3)) <= 0)
    assert set(got.status.ravel().tolist()) == {0, Status.EMPTY}


def test_a_map_without_positive_values_is_empty_and_not_nan(model, x):
    negative = camjax.Split(models.features, lambda p, A, rest: -A.mean((1, 2)))
    got = explain(model, x, 0, layer=negative)
    np.testing.assert_array_equal(got.status, Status.EMPTY)
    assert (got.heatmap == 0).all()
    assert (got.raw <= 0).all()
    assert (got.raw < 0).any()


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("method", [camjax.GradCAM(), camjax.HiResCAM(), camjax.LayerCAM()])
def test_half_precision_models_are_summed_in_float32(dtype, method):
    x = models.pictures()
    got = explain(models.model(dtype=dtype), x.astype(dtype), [[0, 1]], method=method)
    assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {jnp.dtype("float32"), jnp.dtype("int32")}
    want = explain(models.model(), x, [[0, 1]], method=method)
    scale = jnp.abs(want.raw).max()
    np.testing.assert_allclose(got.raw / scale, want.raw / scale, atol=0.03)


def test_float64_models_stay_in_float64():
    with jax.enable_x64():
        got = explain(models.model(), models.pictures(), 1)
    assert got.raw.dtype == got.score.dtype == got.heatmap.dtype == jnp.float64


def test_numpy_inputs(model, x):
    np.testing.assert_array_equal(explain(model, np.asarray(x), 1).raw, explain(model, x, 1).raw)


def test_two_inputs_and_dict_outputs(model, x):
    def apply(p, inputs):
        with jax.named_scope("conv"):
            A = jax.nn.relu(models.conv(inputs["picture"], p["kernel"]))
        return {"logits": models.pooled_head(p, A, None) * inputs["scale"][:, None], "maps": A}

    two = camjax.Model(apply, model.params)
    scale = jnp.array([1.0, 2.0, 3.0])
    got = camjax.explain(two, {"picture": x, "scale": scale}, 1)
    want = explain(model, x, 1)
    np.testing.assert_allclose(got.raw, want.raw * scale[:, None, None], rtol=1e-5)
    assert got.heatmap.shape == (3, 6, 6)


@pytest.mark.parametrize("size", [(5,), (4, 3), (3, 4, 2)], ids=["1-D", "2-D", "3-D"])
def test_any_number_of_space_axes(size):
    split = camjax.Split(lambda w, x: (x @ w, None), lambda w, A, rest: A.mean(tuple(range(1, A.ndim - 1))))
    model = camjax.Model(lambda w, x: split.head(w, *split.features(w, x)), jnp.eye(2))
    x = jax.random.normal(jax.random.key(0), (2, *size, 2))
    got = camjax.explain(model, x, 1, layer=split)
    assert got.heatmap.shape == (2, *size)
    np.testing.assert_allclose(got.raw, x[..., 1] / float(np.prod(size)), rtol=1e-5)


def test_the_heatmap_has_the_size_of_the_input_that_the_grid_comes_from():
    dims = ("NCHW", "OIHW", "NCHW")

    def apply(w, x):
        with jax.named_scope("conv"):
            x = jax.nn.relu(jax.lax.conv_general_dilated(x, w, (2, 2), "SAME", dimension_numbers=dims))
        return x.mean((2, 3))

    model = camjax.Model(apply, jax.random.normal(jax.random.key(0), (4, 3, 3, 3)))
    got = camjax.explain(model, jnp.ones((2, 3, 8, 10)), 1, strict=False)
    assert got.raw.shape == (2, 4, 5)
    assert got.heatmap.shape == (2, 8, 10)


def test_a_grid_of_unknown_origin_needs_a_size(model, x):
    flat = camjax.Split(lambda p, x: (models.features(p, x)[0].reshape(-1, 6, 6, 5), None), models.pooled_head)
    flat_model = camjax.Model(lambda p, x: model.apply(p, x.reshape(-1, 6, 6, 2)), model.params)
    with pytest.raises(ValueError, match=r"size: it is not known which axes of the input, \[72\].*pass size="):
        camjax.explain(flat_model, x.reshape(3, 72), 1, layer=camjax.Split(
            lambda p, x: flat.features(p, x.reshape(-1, 6, 6, 2)), flat.head))  # fmt: skip


def test_it_can_be_differentiated_by_input_and_parameters(model, x):
    def mass(model, x):
        return explain(model, x, 1, size=None).raw.sum()

    by_model, by_x = jax.grad(mass, argnums=(0, 1))(model, x)
    step = jax.random.normal(jax.random.key(5), x.shape)
    want = (mass(model, x + 1e-3 * step) - mass(model, x - 1e-3 * step)) / 2e-3
    np.testing.assert_allclose(jnp.vdot(by_x, step), want, rtol=2e-2)
    assert jnp.abs(by_model.params["kernel"]).max() > 0
    heat = jax.grad(lambda x: explain(model, x, 1).heatmap.sum())(x)
    assert jnp.isfinite(heat).all()
    assert jnp.abs(heat).max() > 0


def test_what_does_not_look_at_values_is_never_raised(model, x):
    bad = x.at[1, 0, 0, 0].set(jnp.nan)
    got = explain(model, bad, [1, 1, 9], strict=False)
    np.testing.assert_array_equal(got.status, [0, Status.NON_FINITE, Status.BAD_TARGET])
    traced = jax.jit(lambda m, x, t: explain(m, x, t).status)(model, bad, jnp.array([1, 1, 9]))
    np.testing.assert_array_equal(traced, got.status)


def test_no_score_that_depends_on_the_layer_is_a_zero_gradient(model, x):
    blind = camjax.Split(models.features, lambda p, A, rest: models.pooled_head(p, A * 0 + 1, rest))
    got = explain(model, x, 1, layer=blind, strict=False)
    np.testing.assert_array_equal(got.status, Status.ZERO_GRADIENT | Status.EMPTY)


def test_a_notebook_gets_a_picture(model, x):
    pytest.importorskip("PIL", reason="pictures need the extra camjax[cli]")
    png = explain(model, x, 1)._repr_png_()
    assert png.startswith(b"\x89PNG")


def test_a_default_layer_that_is_one_of_several_is_said_to_be():
    """Frames that are mapped in a Python loop: each has maps of its own, and there is no one layer of all."""

    def apply(kernel, film):
        frames = []
        for t in range(film.shape[1]):
            with jax.named_scope("conv"):
                dims = ("NHWC", "HWIO", "NHWC")
                z = jax.lax.conv_general_dilated(film[:, t], kernel, (1, 1), "SAME", dimension_numbers=dims)
                frames.append(jax.nn.relu(z).mean((1, 2)))
        return jnp.stack(frames, 1).mean(1)

    film = jnp.linspace(-1, 1, 2 * 3 * 64).reshape(2, 3, 8, 8, 1)
    model = camjax.Model(apply, jnp.linspace(-1, 1, 27).reshape(3, 3, 1, 3))
    default = camjax.layers(model, film).default
    assert default is not None
    assert default.note == "other maps reach the outputs beside it"
    with pytest.warns(UserWarning, match="other maps reach the outputs beside it, so its map is a part of"):
        camjax.explain(model, film, 1)
    camjax.explain(model, film, 1, layer=default.name)  # said, it is what is wanted
