"""Where the maps of small working networks lie, on scenes they have not seen: on the object that is asked about.

The networks are sure of nearly every word, so that the log-probability is flat there: its gradient, and HiResCAM with
it, only tells the word from the runner-up. Integrated gradients go up the slope from nothing, and add up to the score.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import targets, testbed
from tests.tasks import networks as net
from tests.tasks.train import prefix
from tests.tasks.truth import COLOUR, text_of, truth


@pytest.fixture(scope="module")
def held():
    return truth(77, 50)


@pytest.fixture(scope="module")
def x(held):
    return testbed.preprocess(held.images)


HIRESCAM, INTEGRATED = camjax.HiResCAM(), camjax.LayerIntegratedGradients(steps=8)


def explain(task, x, target, method=HIRESCAM):
    options = {"axes": {"space": (1, 2), "channel": 3}, "size": (64, 64), "strict": False}
    return camjax.explain(net.model(task), x, target, layer="eyes", method=method, **options)


def maps(task, x, target, method=HIRESCAM):
    return explain(task, x, target, method).heatmap


def pointing(heatmaps, masks):
    """How often the map's highest pixel is in the mask."""
    best = np.asarray(heatmaps).reshape(len(masks), -1).argmax(1)
    return np.take_along_axis(masks.reshape(len(masks), -1), best[:, None], 1).mean()


def on_its_object(heatmaps, masks, k, at_least=0.95):
    own, other = pointing(heatmaps, masks[:, k]), pointing(heatmaps, masks[:, 1 - k])
    print(f"object {k}: {own:.2f}, the other: {other:.2f}")
    assert own >= at_least
    assert other <= 0.05


@pytest.fixture(scope="module")
def caption(held, x):
    """The caption network's input, and the explanation of each word."""
    inputs = {"image": x, "words": prefix(jnp.asarray(held.captions))}
    return inputs, explain("caption", inputs, targets.words(held.captions), INTEGRATED)


def test_each_word_of_a_caption_is_on_its_object(held, caption):
    inputs, words = caption
    said = net.model("caption")(inputs).argmax(-1)
    assert (np.asarray(said) == held.captions).mean() > 0.95
    for word, k in ((0, 0), (1, 0), (3, 1), (4, 1)):
        on_its_object(words.heatmap[:, word], held.masks, k)


def test_where_a_word_is_sure_its_gradient_is_not_the_explanation(held, x, caption):
    """Why HiResCAM does not explain the left shape's word: it is certain, and its log-probability flat."""
    inputs, words = caption
    flat = explain("caption", inputs, targets.words(held.captions))
    assert np.median(flat.score[:, 1]) > -1e-5
    assert abs(np.median(np.asarray(flat.raw[:, 1]).sum((1, 2)))) < 1e-3
    assert pointing(flat.heatmap[:, 1], held.masks[:, 0]) < 0.9
    # From no evidence to all of it, on the other hand, the maps account for what was gained.
    nothing = net.caption(net.load(), jnp.zeros((len(x), net.GRID, net.GRID, net.EYES)), inputs["words"])[:, 1]
    nothing = jax.nn.log_softmax(nothing)
    gained = np.asarray(words.score[:, 1]) - np.take_along_axis(np.asarray(nothing), held.captions[:, 1:2], 1)[:, 0]
    assert np.median(gained) > 3
    total = np.asarray(words.raw[:, 1]).sum((1, 2))
    assert np.median(np.abs(total - gained) / gained) < 0.15  # 8 midpoints


@pytest.mark.parametrize(
    "question",
    [0, 4, 2, 6, 3, 7],
    ids=["shape left", "shape right", "colour of 1", "colour of 2", "is 1 there", "is 2 there"],
)
def test_an_answer_is_on_the_object_that_is_asked_about(held, x, question):
    inputs = {"image": x, "words": jnp.asarray(held.questions[:, question])}
    answers = held.answers[:, question]
    assert (np.asarray(net.model("answer")(inputs).argmax(-1)) == answers).mean() > 0.95
    on_its_object(maps("answer", inputs, answers, INTEGRATED), held.masks, held.asked[question])


@pytest.mark.parametrize("k", [0, 1])
def test_a_text_is_on_what_it_names(held, x, k):
    inputs = {"image": x, "words": jnp.asarray(text_of(held, k))}
    on_its_object(maps("similar", inputs, targets.similarity()), held.masks, k)


def test_a_predicted_region_is_explained_by_itself(held, x):
    on_its_object(maps("segment", x, targets.segmentation(held.classes[:, 0])), held.masks, 0)


def test_a_detected_box_is_explained_by_what_is_in_it(held, x):
    target = targets.detection(held.classes, held.boxes, iou=0.4)
    result = explain("detect", x, target)
    found = ~np.asarray(result.status & int(camjax.Status.BAD_TARGET)).astype(bool)
    assert found.mean() > 0.8
    # A box is read off one cell, which need not be on the object itself: the middle of a moon is not.
    y, x = np.arange(64)[:, None], np.arange(64)[None]
    left, top, right, bottom = np.moveaxis(held.boxes[..., None, None], 2, 0)
    inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    for k in (0, 1):
        rows = found[:, k]
        on_its_object(result.heatmap[:, k][rows], inside[rows], k, 0.9)


def test_an_area_is_explained_by_what_covers_it(held, x):
    on_its_object(maps("area", x, targets.regression(held.classes[:, 1])), held.masks, 1)


def test_a_binary_unit_is_explained_by_the_star(held, x):
    rows, k = np.nonzero(held.classes == net.SHAPES.index("star"))
    assert len(rows) >= 3
    on_its_object(
        maps("star", x[rows], targets.binary()), np.stack([held.masks[rows, k], held.masks[rows, 1 - k]], 1), 0
    )


def test_the_colours_follow_the_shapes_among_words_and_answers():
    assert net.WORDS[COLOUR] == net.ANSWERS[COLOUR] == net.COLOURS[0]
