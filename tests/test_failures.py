"""Failure analysis: which examples it finds, whose maps it shows, and the sheet that shows them."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import plot, targets, testbed
from tests import models
from tests.test_plot import check_golden, explanation, scene


def softmax(scores):
    e = np.exp(np.asarray(scores, np.float64) - np.max(scores, 1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_the_wrong_ones_are_explained_as_by_hand_and_so_is_what_speaks_against_them():
    net, x = models.model(models.DENSE), models.pictures(5)
    scores = np.asarray(net(x))
    true = scores.argmax(1)
    true[[1, 2, 4]] = (true[[1, 2, 4]] + 1) % 4
    options = {"layer": models.DENSE, "method": camjax.LayerCAM(), "size": None}  # not odd: -S is not just -raw
    found = camjax.failures(net, x, true, counterfactual=True, batch=2, **options)
    assert found.examples.tolist() == [1, 2, 4]
    pair = np.stack([found.predicted, found.true], 1)
    np.testing.assert_array_equal(pair, np.stack([scores.argmax(1), true], 1)[[1, 2, 4]])
    expected = np.take_along_axis(softmax(scores)[[1, 2, 4]], pair, 1)
    np.testing.assert_allclose(found.probability, expected, rtol=1e-5, atol=1e-6)
    for at in (np.array([0, 1]), np.array([2, 2])):  # two at a time, the last chunk filled up
        rows = x[found.examples[at]]
        for got, target in (
            (found.explanation, pair[at]),
            (found.counterfactual, targets.negated(found.predicted[at])),
        ):
            assert got is not None
            by_hand = camjax.explain(net, rows, target, **options)
            np.testing.assert_allclose(got.raw[at], by_hand.raw, rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(got.score[at], by_hand.score, rtol=1e-4)
            np.testing.assert_array_equal(got.target[at], by_hand.target)


def test_both_maps_of_a_failure_lie_on_what_they_are_about():
    """Scenes of two objects, labelled with the first: where the network prefers the second, it saw both."""
    drawn = testbed.scenes(12, 40, objects=(2, 2))
    with jax.numpy_rank_promotion("allow"):
        found = camjax.failures(testbed.model(), testbed.preprocess(drawn.images), drawn.classes[:, 0], batch=40)
    assert len(found.examples) > 10
    second = found.predicted == drawn.classes[found.examples, 1]
    assert second.mean() > 0.9
    best = np.asarray(found.explanation.heatmap).reshape(len(second), 2, -1).argmax(-1)[second]
    masks = drawn.masks[found.examples][second].reshape(second.sum(), 4, -1)
    for map, slot in ((0, 1), (1, 0)):
        assert np.take_along_axis(masks[:, slot], best[:, map, None], 1).mean() >= 0.9


def test_where_all_is_right_there_are_no_rows():
    x, net = models.pictures(), models.model()
    found = camjax.failures(net, x, np.asarray(net(x)).argmax(1), layer=models.POOLED, counterfactual=True)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(found)} == {0}
    assert found.explanation.heatmap.shape == (0, 2, 6, 6)
    assert found.counterfactual is not None
    assert found.counterfactual.heatmap.shape == (0, 6, 6)


def test_names_will_do_and_a_sigmoid_gives_its_own_probabilities():
    def apply(params, x):
        with jax.named_scope("conv"):
            maps = jax.nn.relu(models.conv(x, params["kernel"]))
        return jax.nn.sigmoid(maps.mean((1, 2)) @ params["matrix"])

    net = camjax.Model(apply, models.params(), labels=("a", "b", "c", "d"))
    x = models.pictures()
    outputs = np.asarray(net(x))
    worst = outputs.argmin(1)
    found = camjax.failures(net, x, ["abcd"[c] for c in worst], size=None)
    np.testing.assert_array_equal(found.true, worst)
    np.testing.assert_allclose(found.probability, np.stack([outputs.max(1), outputs.min(1)], 1), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": [0, 1]}, ["labels: got int64 of shape [2]", "3 class indices from 0 to 3"]),
        ({"labels": np.eye(3)}, ["labels: got float64 of shape [3, 3]", "one for each example"]),
        ({"labels": [0, 4, 1]}, ["labels: got class 4 for example 1", "from 0 to 3"]),
        ({"labels": ["cat", "dog", "cta"]}, ["labels: no class is called 'cta'; did you mean 'cat'"]),
        ({"x": models.pictures().at[1].set(jnp.nan)}, ["x: the class scores of example 1 are NaN"]),
        ({"target": 1}, ["target: camjax.failures decides it"]),
        ({"batch": 0}, ["batch: got 0", "a positive int"]),
        ({"size": (6,)}, ["size: got (6,)", "Those explained are examples ["]),
    ],
)
def test_failures_refuses_in_words(change, words):
    net = models.model(labels=("cat", "dog", "cow", "hen"))
    x = models.pictures()
    arguments = {"x": x, "labels": (np.asarray(net(x)).argmax(1) + 1) % 4, "layer": models.POOLED, **change}
    with pytest.raises(ValueError, match="(?s)" + ".*".join(map(re.escape, words))):
        camjax.failures(net, **arguments)


# The sheet


def drawn(count=3, counterfactual=True):
    both, one = explanation((count, 2)), explanation((count,))
    numbers = np.arange(count)
    probability = np.linspace(0.9, 0.05, 2 * count).reshape(count, 2)
    return camjax.Failures(2 * numbers, numbers, numbers + 1, probability, both, one if counterfactual else None)


def images(count=6):
    return np.stack([scene()[0]] * count)


def test_sheet_golden():
    sheet = plot.failures(
        images(), drawn(), ["hen", "cock", "a name that is too long for its tile", "owl"], most=2, tile=112
    )
    check_golden("failures", sheet)


def test_sheet_without_counterfactuals_is_a_tile_narrower():
    wide, narrow = (plot.failures(images(), drawn(counterfactual=on), tile=80).size for on in (True, False))
    assert wide[0] - narrow[0] == 80 + 14
    assert wide[1] == narrow[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"found": jax.tree.map(lambda leaf: leaf[:0], drawn())}, ["found: there are no failures to draw"]),
        ({"images": images(4)}, ["images: got shape [4, 96, 96, 3]", "example 4 is among the failures"]),
        ({"images": images()[0]}, ["images: got shape [96, 96, 3]", "expected [N, height, width, 3]"]),
        ({"labels": ["hen", "cock"]}, ["labels: got 2 names, but class 3"]),
        ({"found": drawn()._replace(explanation=explanation((3, 2))._replace(heatmap=None))}, ["size=None", "'input'"]),
    ],
)
def test_the_sheet_refuses_in_words(change, words):
    with pytest.raises(ValueError, match=".*".join(map(re.escape, words))):
        plot.failures(**{"images": images(), "found": drawn(), **change})
