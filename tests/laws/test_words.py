"""How a law fails: in words, on the smallest case; and what `check` does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import testing
from camjax.methods import CoarseMap
from camjax.testing._setting import Setting
from tests.laws.tried import noise, quickly


@pytest.fixture(autouse=True)
def float64():
    with quickly():
        yield


@pytest.fixture
def case():
    x = noise(3)
    x[1] *= 100
    model = testing.tiny_network("pooled")
    return model, x, camjax.split(model, x)


def fooled_by_large(*, activations, gradients):
    """HiResCAM, but for large feature maps."""
    raw = (activations * gradients).sum(-1)
    return CoarseMap(jnp.where(activations.max() > 30, jnp.abs(raw), raw))


def not_a_number(*, activations, score):
    return CoarseMap(activations[..., 0] * jnp.where(score > 0, 1, jnp.nan))


def complaint(law, model, x, **setting):
    with pytest.raises(AssertionError) as caught:
        law(model, x, **setting)
    return str(caught.value)


def test_the_error_names_everything_about_the_smallest_case(case):
    model, x, layer = case
    text = complaint(testing.odd, model, x, method=camjax.LayerCAM(), layer=layer, seed=7)
    assert text.startswith(
        "odd does not hold for LayerCAM() on model _Network at layer conv, with x[0:1], seed 7, for scores of class 0: "
        "raw(-S) differs from -raw(S). Furthest apart at (0, "
    )
    assert "(example, position): " in text
    assert " against " in text
    assert text.endswith(", the tolerance 1e-09 of it.")


def test_the_one_example_that_fails_is_found(case):
    model, x, layer = case
    text = complaint(testing.odd, model, x, method=fooled_by_large, layer=layer)
    assert text.startswith("odd does not hold for fooled_by_large on model _Network at layer conv, with x[1:2], seed 0")
    assert "Furthest apart at (1, " in text
    testing.odd(model, x[:1], method=fooled_by_large, layer=layer)


def test_what_is_not_finite_is_said(case):
    model, x, layer = case
    text = complaint(testing.finite, model, x, method=not_a_number, layer=layer)
    assert "is not finite or not in 0..1: the heatmap has values from nan to nan, and the score is -" in text


def test_a_tolerance_of_ones_own(case):
    model, x, layer = case
    text = complaint(testing.total, model, x[:1] + 1, method=camjax.methods.CAM(), layer=layer, rtol=1e-3)
    assert text.endswith("the tolerance 0.001 of it.")
    testing.total(model, x, method=camjax.methods.CAM(), layer=layer, rtol=1.0)


def test_check_names_the_laws_that_hold_and_leaves_out_what_does_not_apply(case):
    model, x, _ = case
    held = testing.check(model, x, method=camjax.LayerCAM())
    where = ["spatial"]  # the kernels are not symmetric, so that `flipped` says nothing
    laws = (*testing.claimed(camjax.LayerCAM()), *testing.INVARIANTS)
    assert held == [law.__name__ for law in laws] + where


def test_check_fails_for_the_first_law_that_does_not_hold(case):
    class Wrong(camjax.HiResCAM):
        pass

    model, x, _ = case
    assert testing.check(model, x, method=Wrong()) == [law.__name__ for law in testing.INVARIANTS]
    with pytest.raises(AssertionError, match="finite does not hold for not_a_number on model _Network at layer conv"):
        testing.check(model, jnp.asarray(x), method=not_a_number)


def test_one_class_has_nothing_to_be_compared_with():
    model = camjax.Model(lambda p, x: jax.nn.relu(x @ p).mean((1, 2)), jnp.ones((3, 1)))
    layer = camjax.Split(
        lambda p, x: (jax.nn.relu(x @ p), None), lambda p, A, rest: A.mean((1, 2)), name="the only layer"
    )
    with pytest.raises(testing.NotApplicable, match="compares classes, but the model has 1"):
        testing.common(model, noise(), layer=layer)


def test_what_all_classes_share_moves_the_map_of_a_class_also_when_there_are_other_outputs():
    model, x = testing.tiny_network("pooled"), noise()
    both = camjax.Model(lambda p, x: {"logits": model.apply(p, x), "embedding": x.mean((1, 2))}, model.params)
    testing.common(both, x)
    setting = Setting(both, x)
    row, g = np.eye(3)[0], np.linspace(1, 2, 5)
    maps, _ = setting.gradients(row)
    np.testing.assert_allclose(setting.raw(row, common=g) - setting.raw(row), maps @ g, rtol=1e-9)
