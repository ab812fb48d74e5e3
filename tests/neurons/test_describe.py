"""The important channels, and what they are called."""

import re

import jax
import numpy as np
import pytest

import camjax
from camjax import neurons
from tests import models

ALPHA = np.array([0.5, -0.2, 0.9, 0.1, -0.7])
NAMES = ("wheel", "grass", "wheel", None, "sky")


def test_importance_is_the_papers_alpha_for_each_example_and_target():
    x, net = models.pictures(), models.model(models.DENSE)
    alpha = neurons.importance(net, x, np.array([[0, 2]]), layer=models.DENSE)
    A, _ = models.features(net.params, x)
    for k, c in enumerate((0, 2)):
        G = jax.grad(lambda A, c=c: models.dense_head(net.params, A, None)[:, c].sum())(A)
        np.testing.assert_allclose(alpha[:, k], G.mean((1, 2)), rtol=1e-5)


def test_importance_is_that_of_the_method_and_an_explanation_of_one_picture_is_described():
    x, net = models.pictures(), models.model(models.DENSE)
    options = {"layer": models.DENSE, "method": camjax.XGradCAM()}
    explanation = camjax.explain(net, x, 1, size=None, **options)
    np.testing.assert_array_equal(neurons.importance(net, x, 1, **options), explanation.weights)
    one = jax.tree.map(lambda leaf: leaf[:1], explanation)
    assert neurons.describe(one, k=3) == neurons.describe(explanation.weights[0], k=3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": camjax.HiResCAM()}, ["method: HiResCAM gives channels no weights", "camjax.GradCAM()"]),
        ({"layer": ["stem"]}, ["layer", "['stem']", "name one layer"]),
        ({"layer": [models.POOLED, models.POOLED]}, ["layer: the channels of one layer"]),
    ],
)
def test_importance_refuses_in_words(options, words):
    with pytest.raises(ValueError, match="(?s)" + ".*".join(map(re.escape, words))):
        neurons.importance(models.model(), models.pictures(), 1, **{"layer": models.POOLED, **options})


def test_the_highest_and_the_lowest_are_listed_in_order():
    text = neurons.describe(ALPHA, NAMES, k=2, target="car")
    assert [neuron.channel for neuron in text.pointed_to_by] == [2, 0]
    assert text.against == (neurons.Neuron(4, -0.7, "sky"), neurons.Neuron(1, -0.2, "grass"))
    assert str(text) == "car is pointed to by: wheel (channels 2, 0); against it: sky (channel 4), grass (channel 1)"


def test_channels_that_pull_the_other_way_are_left_out():
    text = neurons.describe(np.abs(ALPHA), {1: "grass"}, target="car")
    assert len(text.pointed_to_by) == 5
    assert str(text) == (
        "car is pointed to by: channel 2, channel 4, channel 0, grass (channel 1), channel 3; against it: nothing"
    )
    assert str(neurons.describe(np.zeros(3))) == "the target is pointed to by: nothing; against it: nothing"


ONE = camjax.Explanation(None, np.zeros((1, 2, 2)), None, np.ones(1), np.zeros(1, int), np.zeros(1, int))


@pytest.mark.parametrize(
    ("importance", "options", "words"),
    [
        (np.ones((2, 5)), {}, ["importance has weights of shape [2, 5]", "expected [C]", "weights[0]"]),
        (ONE, {}, ["the Explanation has no channel weights", "camjax.GradCAM()"]),
        (ONE._replace(weights=np.ones((3, 5))), {}, ["the Explanation has weights of shape [3, 5]", "choose one"]),
        (ALPHA * np.nan, {}, ["importance has weights that are not finite"]),
        (ALPHA, {"k": 0}, ["k: got 0", "a positive int"]),
        (ALPHA, {"names": ["wheel"]}, ["names: got 1 names for 5 channels", "made for another layer"]),
        (ALPHA, {"names": "wheel"}, ["names: got 'wheel' for 5 channels"]),
        (ALPHA, {"names": {5: "wheel"}}, ["names: 5 is no channel", "0 to 4"]),
        (ALPHA, {"names": {"wheel": 3}}, ["names: 'wheel' is no channel", "from channels"]),
    ],
)
def test_describe_refuses_in_words(importance, options, words):
    with pytest.raises(ValueError, match="(?s)" + ".*".join(map(re.escape, words))):
        neurons.describe(importance, **options)
