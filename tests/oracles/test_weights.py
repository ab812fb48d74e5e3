"""The gradient family against its papers' equations, literally, in float64; derivatives by finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import camjax
from camjax.testing import oracles
from camjax.testing.oracles import weights
from tests import models

SPACES = [(5,), (3, 4), (2, 3, 2), (1, 1)]


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(), jax.disable_jit():  # each shape would be compiled once, to run once
        yield


def drawn(seed, space, channels=3):
    """Feature maps and gradients, with a dead channel, a negative one and one that cancels."""
    rng = np.random.default_rng(seed)
    A, G = rng.normal(size=(2, *space, channels + 3))
    A[..., -1] = 0
    A[..., -2] = -np.abs(A[..., -2])
    if np.prod(space) > 1:
        A[..., -3] -= A[..., -3].mean()
    return A, G


def call(method, A, G=None, head=None):
    given = {"activations": jnp.asarray(A), "head": head, "chunk": 7}
    if G is not None:
        given["gradients"] = jnp.asarray(G)
    elif head is not None:
        given["gradients"] = jax.grad(head)(jnp.asarray(A))
    return method(**{name: given[name] for name in camjax.methods._contract.needs_of(method)})


CASES = {
    camjax.ElementwiseGradCAM(): weights.elementwise,
    camjax.ODAM(): oracles.hirescam,
    camjax.GradCAMPlusPlus(): lambda A, G: weights.grad_cam_plus_plus(A, G, G**2, G**3),
    camjax.GradCAMPlusPlus("normalised"): lambda A, G: weights.grad_cam_plus_plus(A, G, G**2, G**3, normalised=True),
    camjax.XGradCAM(): weights.xgradcam,
}


@pytest.mark.parametrize("method", CASES, ids=repr)
@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_method_is_its_papers_equation(method, space):
    for seed in range(3):
        A, G = drawn(seed, space)
        np.testing.assert_allclose(call(method, A, G).raw, CASES[method](A, G), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", CASES, ids=repr)
@settings(max_examples=10)
@given(scale=st.floats(-6, 6), sign=st.sampled_from([-1, 0, 1]), dead=st.booleans())
def test_nothing_is_nan_for_any_finite_maps(method, scale, sign, dead):
    A, G = drawn(0, (2, 3))
    A = np.abs(A) * sign * 10.0**scale
    coarse = call(method, A.astype(np.float32), (G * (not dead)).astype(np.float32))
    assert np.isfinite(coarse.raw).all()
    assert coarse.raw.dtype == jnp.float32


def cubic(coefficients):
    """A head whose derivatives along every entry are known: sum a A^3 / 6 + b A^2 / 2 + c A."""
    a, b, c = (jnp.asarray(x) for x in coefficients)
    return lambda A: (a * A**3 / 6 + b * A**2 / 2 + c * A).sum()


def test_exact_derivatives_of_grad_cam_plus_plus():
    rng = np.random.default_rng(0)
    A, a, b, c = rng.normal(size=(4, 2, 3, 2))
    head = cubic((a, b, c))
    G, second, third = a * A**2 / 2 + b * A + c, a * A + b, a
    want = weights.grad_cam_plus_plus(A, G, G**2 + second, G**3 + 3 * G * second + third)
    np.testing.assert_allclose(call(camjax.GradCAMPlusPlus("exact"), A, head=head).raw, want, rtol=1e-9)


def test_exact_and_simplified_agree_for_a_head_without_curvature():
    A, c = np.random.default_rng(1).normal(size=(2, 2, 3, 2))
    head = cubic((0 * A, 0 * A, c))
    exact, simplified = (call(camjax.GradCAMPlusPlus(alpha), A, head=head) for alpha in ("exact", "simplified"))
    np.testing.assert_allclose(exact.raw, simplified.raw, rtol=1e-9)


def curved(seed=0, space=(3, 2), channels=4):
    """A smooth head that mixes everything, and maps for it."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(*space, channels))
    mix, out = rng.normal(size=(A.size, 6)), rng.normal(size=6)
    return A, lambda maps: jnp.tanh(jnp.reshape(maps, -1) @ mix / 3) @ out


@pytest.mark.parametrize("elementwise", [False, True])
def test_shapley_cams_curvature_by_finite_differences(elementwise):
    A, head = curved()
    G = oracles.gradient(lambda maps: float(head(jnp.asarray(maps))), A)
    gradient = jax.grad(head)
    HA = np.asarray(gradient(jnp.asarray(A * (1 + 1e-5))) - gradient(jnp.asarray(A * (1 - 1e-5)))) / 2e-5
    want = oracles.hirescam(A, G - HA / 2) if elementwise else weights.shapleycam(A, G, HA)
    got = call(camjax.ShapleyCAM(elementwise=elementwise), A, head=head)
    np.testing.assert_allclose(got.raw, want, rtol=1e-6, atol=1e-8)


def test_layer_integrated_gradients_and_their_completeness():
    A, head = curved()
    step = lambda maps: np.asarray(jax.grad(head)(jnp.asarray(maps)))  # noqa: E731 - as short as what it stands for
    got = call(camjax.LayerIntegratedGradients(9), A, head=head)
    np.testing.assert_allclose(got.raw, weights.layer_integrated_gradients(A, step, 9), rtol=1e-9)
    fine = call(camjax.LayerIntegratedGradients(512), A, head=head).raw.sum()
    np.testing.assert_allclose(fine, head(jnp.asarray(A)) - head(jnp.zeros_like(A)), rtol=1e-4)


def test_cam_is_z_times_grad_cam_for_a_linear_head_and_refuses_any_other():
    model, x = models.model(models.POOLED), models.pictures(2)
    cam, grad = (camjax.explain(model, x, 1, layer=models.POOLED, method=m) for m in (camjax.CAM(), camjax.GradCAM()))
    np.testing.assert_allclose(cam.raw, 36 * grad.raw, rtol=1e-12)
    A = np.asarray(models.features(model.params, x)[0])
    np.testing.assert_allclose(cam.raw[0], weights.cam(A[0], np.asarray(model.params["matrix"])[:, 1]), rtol=1e-9)
    dense = models.model(models.DENSE)
    with pytest.raises(ValueError, match=r"method: CAM at layer conv, examples 0, 1: CAM needs a head that is"):
        camjax.explain(dense, x, 1, layer=models.DENSE, method=camjax.CAM())
    status = camjax.explain(dense, x, 1, layer=models.DENSE, method=camjax.CAM(), strict=False).status
    assert (status & int(camjax.Status.NOT_APPLICABLE)).all()


def test_all_linear_methods_agree_behind_an_average_and_a_matrix():
    """HiRes = XGrad = Shapley = layer IG = Grad-CAM = CAM / Z = LIFT, and Grad-CAM++ in its closed form."""
    model, x = models.model(models.POOLED), models.pictures(2)
    run = lambda method: camjax.explain(model, x, 1, layer=models.POOLED, method=method, size=None)  # noqa: E731
    want = run(camjax.GradCAM()).raw
    for method in (
        camjax.HiResCAM(),
        camjax.XGradCAM(),
        camjax.ShapleyCAM(rest=False),
        camjax.LayerIntegratedGradients(4),
        camjax.ReciproCAM(),
    ):
        np.testing.assert_allclose(run(method).raw, want, rtol=1e-9, atol=1e-9, err_msg=repr(method))
    A = np.asarray(models.features(model.params, x)[0])
    W = np.asarray(model.params["matrix"])[:, 1]
    np.testing.assert_allclose(run(camjax.LiftCAM()).weights, W * A.mean((1, 2)), rtol=1e-9)
    np.testing.assert_allclose(run(camjax.AblationCAM(divide=False)).weights, W * A.mean((1, 2)), rtol=1e-9)
    positive = np.maximum(W, 0)
    np.testing.assert_allclose(
        run(camjax.GradCAMPlusPlus()).weights, positive / (2 + A.mean((1, 2)) * positive), rtol=1e-9
    )


def test_smooth_grad_cam_plus_plus_averages_powers_over_noise():
    rng = np.random.default_rng(0)
    A, G = rng.normal(size=(2, 3, 2, 4))
    x, key = jnp.zeros(3), jax.random.key(1)
    run = lambda noisy: (jnp.asarray(A), jnp.asarray(G) * noisy.sum())  # noqa: E731 - as short as what it stands for
    method = camjax.SmoothGradCAMPlusPlus(samples=3, sigma=0.5)
    got = method(activations=jnp.asarray(A), run=run, inputs=x, key=key, chunk=1)
    draws = [jax.random.normal(jax.random.split(own, 1)[0], (3,)) for own in jax.random.split(key, 3)]
    noise = [0.5 * float(draw.sum()) for draw in draws]
    D = [sum((G * n) ** j for n in noise) / 3 for j in (1, 2, 3)]
    np.testing.assert_allclose(got.raw, weights.grad_cam_plus_plus(A, *D), rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: camjax.GradCAMPlusPlus("cubed"), "GradCAMPlusPlus: alpha='cubed', expected one of 'simplified'"),
        (lambda: camjax.SmoothGradCAMPlusPlus(sigma=0), "SmoothGradCAMPlusPlus: samples=4, sigma=0; expected"),
        (lambda: camjax.LayerIntegratedGradients(0), "LayerIntegratedGradients: steps=0, expected a positive int"),
    ],
)
def test_bad_options_are_refused_in_words(make, text):
    with pytest.raises(ValueError, match=text):
        make()
