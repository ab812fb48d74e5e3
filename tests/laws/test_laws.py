"""The table of laws: what is claimed holds for random models, and what is not claimed fails for some."""

import jax
import jax.numpy as jnp
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import camjax
from camjax import testing
from tests import models

METHODS = (camjax.GradCAM(), camjax.HiResCAM(), camjax.LayerCAM(), camjax.methods.LiftCAM())
SPLITS = {"pooled": models.POOLED, "dense": models.DENSE}
CLAIMED = [(m, law) for m in METHODS for law in testing.CLAIMED[type(m)]]
REFUTED = [(m, law) for m in METHODS for law in testing.LAWS if law not in testing.CLAIMED[type(m)]]


def ids(pairs):
    return [f"{type(m).__name__}-{law.__name__}" for m, law in pairs]


@pytest.fixture(autouse=True)
def float64(request):
    # One operation at a time: every law makes new functions, which take longer to compile than to run.
    with jax.enable_x64(), jax.disable_jit("compiled" not in request.fixturenames):
        yield


@pytest.fixture
def compiled():
    """Asked for by the tests that are about compiled programs."""


def setting(seed, head, channels=5):
    split = SPLITS[head]
    model = models.model(split, key=seed, size=4, channels=channels)
    return (model, models.pictures(2, key=seed + 1, size=4)), {"layer": split, "seed": seed}


@pytest.mark.parametrize(("method", "law"), CLAIMED, ids=ids(CLAIMED))
@settings(max_examples=4)
@given(seed=st.integers(0, 2**31), head=st.sampled_from(sorted(SPLITS)))
@example(seed=0, head="dense")
def test_a_claimed_law_holds(method, law, seed, head):
    arguments, options = setting(seed, head)
    law(*arguments, method=method, **options)


@pytest.mark.parametrize(("method", "law"), REFUTED, ids=ids(REFUTED))
def test_a_law_that_is_not_claimed_fails_in_words(method, law):
    arguments, options = setting(0, "dense")
    with pytest.raises(
        AssertionError, match=rf"{law.__name__}: {type(method).__name__} at layer conv: .* Furthest apart"
    ):
        law(*arguments, method=method, **options)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("law", testing.INVARIANTS, ids=lambda law: law.__name__)
def test_an_invariant_holds_for_every_method(compiled, method, law):
    arguments, options = setting(3, "dense")
    law(*arguments, method=method, **options)


def test_grad_cam_sums_to_the_gradient_product_where_the_head_pools():
    arguments, options = setting(1, "pooled")
    testing.total(*arguments, method=camjax.GradCAM(), **options)


def test_grad_cam_lights_up_what_is_not_read_and_hirescam_does_not():
    arguments, options = setting(1, "pooled")
    with pytest.raises(AssertionError, match=r"local: GradCAM .* not zero where nothing is read"):
        testing.local(*arguments, method=camjax.GradCAM(), **options)
    testing.local(*arguments, method=camjax.HiResCAM(), **options)


def test_all_three_agree_where_the_head_pools_up_to_what_layercam_drops():
    (model, x), options = setting(2, "pooled")
    maps = [
        camjax.explain(model, x, 1, layer=options["layer"], method=method, size=None).raw
        for method in (camjax.GradCAM(), camjax.HiResCAM())
    ]
    assert jnp.allclose(*maps, rtol=1e-12)


def test_hirescam_sums_to_the_score_of_a_head_of_relus_and_matrices():
    split = camjax.Split(
        models.features,
        lambda p, A, rest: jax.nn.relu(A.reshape(A.shape[0], -1) @ p["hidden"]) @ p["out"],
    )
    model, x = models.model(models.DENSE), models.pictures()
    got = camjax.explain(model, x, [[0, 1, 2]], layer=split, method=camjax.HiResCAM(), size=None)
    assert jnp.allclose(got.raw.sum((2, 3)), got.score, rtol=1e-10)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_a_dead_channel_adds_nothing(method):
    (model, x), _ = setting(4, "pooled")
    want = camjax.explain(model, x, 1, layer=models.POOLED, method=method, size=None).raw

    def features(p, x):
        A, rest = models.features(p, x)
        return jnp.concatenate([A, jnp.zeros_like(A[..., :1])], -1), rest

    split = camjax.Split(features, lambda p, A, rest: models.pooled_head(p, A[..., :-1], rest) + A[..., -1].sum())
    got = camjax.explain(model, x, 1, layer=split, method=method, size=None).raw
    assert jnp.allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_a_pooled_head_commutes_with_any_permutation_of_the_positions(method):
    (model, x), _ = setting(5, "pooled")
    order = jax.random.permutation(jax.random.key(0), 16)

    def features(p, x):
        A, rest = models.features(p, x)
        return A.reshape(-1, 16, 5)[:, order].reshape(A.shape), rest

    want = camjax.explain(model, x, 1, layer=models.POOLED, method=method, size=None).raw
    got = camjax.explain(model, x, 1, layer=camjax.Split(features, models.pooled_head), method=method, size=None).raw
    assert jnp.allclose(got, want.reshape(-1, 16)[:, order].reshape(want.shape), rtol=1e-12)


def test_a_models_own_check_names_the_laws():
    arguments, options = setting(6, "dense")
    names = testing.check(*arguments, method=camjax.LayerCAM(), **options)
    assert names == [law.__name__ for law in (*testing.CLAIMED[camjax.LayerCAM], *testing.INVARIANTS)]
