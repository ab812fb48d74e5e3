"""Models that end in probabilities: maps and scores are those of the logits."""

import jax
import numpy as np
import pytest

import camjax
from tests.wild.case import grad_cam
from tests.wild.check import check
from tests.wild.heads import TAILS, network


@pytest.mark.parametrize("name", TAILS)
def test_the_score_is_taken_before_the_tail(name):
    check(network(TAILS[name]))


@pytest.mark.parametrize("name", ["softmax", "softmax, not shifted", "sigmoid", "log-softmax"])
def test_temperature(name):
    case = network(TAILS[name], temperature=4.0)
    target = np.array([1, 2], np.int32)
    _, raw, _ = grad_cam(case, target)
    found = camjax.explain(case.model, case.x, target, size=None)
    divisor = np.abs(raw).max() / np.abs(found.raw).max()
    assert divisor == pytest.approx(1, rel=1e-4) or divisor == pytest.approx(4, rel=1e-4)
    np.testing.assert_allclose(found.raw * divisor, raw, atol=1e-5 * np.abs(raw).max())


def test_outputs_on_request():
    case = network(TAILS["softmax"])
    target = np.array([1, 2], np.int32)
    found = camjax.explain(case.model, case.x, target, scores="outputs", size=None)
    probabilities = case.model(case.x)[np.arange(2), target]
    np.testing.assert_allclose(found.score, probabilities, rtol=1e-5)
    logits = camjax.explain(case.model, case.x, target, size=None)
    ratios = found.weights / logits.weights
    assert np.ptp(ratios) > 0.1 * np.abs(ratios).max(), "only the scale differs"


def test_a_tail_that_is_none():
    """A classifier whose sigmoid is a gate of the features keeps it."""
    case = network(lambda z: z * jax.nn.sigmoid(z))
    target = np.array([1, 2], np.int32)
    found = camjax.explain(case.model, case.x, target, size=None)
    np.testing.assert_allclose(found.score, case.model(case.x)[np.arange(2), target], rtol=1e-5)
