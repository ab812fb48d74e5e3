"""The failures of a network whose predictions are on record."""

import jax
import numpy as np
import pytest

import camjax
from tests import data
from tests.parity.converted import converted
from tests.test_failures import softmax


@pytest.mark.real
def test_the_failures_of_squeezenet_are_those_on_record():
    network, model = converted("squeezenet1_1")
    photos = data.photos(10)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        x = data.batch([photo.path for photo in photos], network.style, "NCHW")
        found = camjax.failures(model, x, [photo.label for photo in photos], batch=10)
    recorded = np.array(data.reference_results("squeezenet1_1").predictions[:10])
    wrong = np.flatnonzero(recorded != [photo.label for photo in photos])
    assert found.examples.tolist() == wrong.tolist() == [5, 6]  # an alligator and a night snake
    assert found.predicted.tolist() == recorded[wrong].tolist()
    pair = np.stack([found.predicted, found.true], 1)
    logits = data.reference_logits("squeezenet1_1")[wrong]
    np.testing.assert_allclose(found.probability, np.take_along_axis(softmax(logits), pair, 1), atol=1e-4)
    np.testing.assert_allclose(found.explanation.score, np.take_along_axis(logits, pair, 1), rtol=1e-4)
    assert (np.asarray(found.explanation.status) == 0).all()
    # Both animals were seen where the animal is: a close relative was predicted, and both maps are almost one.
    a, b = np.moveaxis(np.asarray(found.explanation.heatmap).reshape(2, 2, -1), 1, 0)
    assert all(np.corrcoef(one, other)[0, 1] > 0.7 for one, other in zip(a, b, strict=True))
