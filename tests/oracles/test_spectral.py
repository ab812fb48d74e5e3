"""The spectral and statistical methods against NumPy's decompositions; their derivatives, at ties too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax.methods._principal import first_component, top
from camjax.testing.oracles import spectral

CASES = {
    camjax.EigenCAM(): lambda A, G: spectral.eigencam(A),
    camjax.EigenCAM(center=True): lambda A, G: spectral.eigencam(A, center=True),
    camjax.EigenGradCAM(): spectral.eigengradcam,
    camjax.KPCACAM(): lambda A, G: spectral.kpcacam(A),
    camjax.FEM(): lambda A, G: spectral.fem(A),
    camjax.Principal(): lambda A, G: spectral.principal(A * G.mean(tuple(range(G.ndim - 1)))),
    camjax.Principal(camjax.HiResCAM()): lambda A, G: spectral.principal(A * G),
}


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64():
        yield


def call(method, A, G):
    given = {"activations": jnp.asarray(A), "gradients": jnp.asarray(G)}
    return method(**{name: given[name] for name in camjax.methods._contract.needs_of(method)})


@pytest.mark.parametrize("method", CASES, ids=repr)
@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 2, 9), (7, 3), (2, 2, 2, 4)], ids=str)
def test_a_method_is_its_equation(method, shape):
    rng = np.random.default_rng(0)
    A, G = np.abs(rng.normal(size=shape)), rng.normal(size=shape)
    want = CASES[method](A, G)
    np.testing.assert_allclose(call(method, A, G).raw, want, rtol=1e-6, atol=1e-6 * max(np.abs(want).max(), 1e-9))


@pytest.mark.parametrize("method", CASES, ids=repr)
@pytest.mark.parametrize("maps", ["zeros", "constant", "one channel", "one position", "negative", "huge", "tiny"])
def test_maps_and_derivatives_are_finite(method, maps):
    rng = np.random.default_rng(1)
    A, G = rng.normal(size=(2, 3, 3, 4)).astype(np.float32)
    A = {
        "zeros": 0 * A,
        "constant": 0 * A + 2,
        "one channel": A[..., :1],
        "one position": A[:1, :1],
        "negative": -np.abs(A),
        "huge": A * np.float32(1e18),
        "tiny": A * np.float32(1e-18),
    }[maps]
    G = np.broadcast_to(G[: A.shape[0], : A.shape[1], : A.shape[2]], A.shape)
    raw, pull = jax.vjp(lambda A: call(method, A, G).raw, jnp.asarray(A))
    assert raw.dtype == jnp.float32
    assert np.isfinite(raw).all()
    if maps not in ("huge", "tiny"):  # where a derivative's size is that of the maps
        assert np.isfinite(pull(jnp.ones_like(raw))[0]).all()


@pytest.mark.parametrize("shape", [(6, 4), (3, 7)], ids=str)
def test_the_derivative_of_a_component_by_finite_differences(shape):
    rng = np.random.default_rng(2)
    X, change = rng.normal(size=(2, *shape))
    reference = first_component(jnp.asarray(X))

    def along(t):
        found = first_component(jnp.asarray(X + t * change))
        return np.asarray(found if found @ reference > 0 else -found)

    _, got = jax.jvp(first_component, (jnp.asarray(X),), (jnp.asarray(change),))
    np.testing.assert_allclose(got, (along(1e-6) - along(-1e-6)) / 2e-6, rtol=1e-5, atol=1e-6)


def test_at_a_tie_the_derivative_leaves_out_what_cannot_be_told_apart():
    matrix = jnp.diag(jnp.array([1.0, 3.0, 3.0]))
    change = jnp.array([[0.0, 1.0, 0.0], [1.0, 0.0, 2.0], [0.0, 2.0, 0.0]])
    (value, _), (moved, turn) = jax.jvp(top, (matrix,), (change,))
    assert value == 3
    assert np.isfinite([*turn, moved]).all()


def test_eigen_cam_of_rectified_maps_has_no_negative_value():
    A = np.abs(np.random.default_rng(3).normal(size=(4, 4, 6)))
    assert (call(camjax.EigenCAM(), A, A).raw >= -1e-12).all()


def test_a_method_without_channels_has_no_principal_component():
    A = np.ones((2, 2, 3))
    with pytest.raises(ValueError, match="Principal: the map of EigenCAM is not a sum over channels"):
        call(camjax.Principal(camjax.EigenCAM()), A, A)
