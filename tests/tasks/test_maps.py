"""Where the maps of small working networks lie, on scenes they have not seen: on the object that is asked about."""

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
    return truth(77, 60)


@pytest.fixture(scope="module")
def x(held):
    return testbed.preprocess(held.images)


def explain(task, x, target):
    options = {"axes": {"space": (1, 2), "channel": 3}, "size": (64, 64), "strict": False}
    return camjax.explain(net.model(task), x, target, layer="eyes", method=camjax.HiResCAM(), **options)


def maps(task, x, target):
    return explain(task, x, target).heatmap


def pointing(heatmaps, masks):
    """How often the map's highest pixel is in the mask."""
    best = np.asarray(heatmaps).reshape(len(masks), -1).argmax(1)
    return np.take_along_axis(masks.reshape(len(masks), -1), best[:, None], 1).mean()


def on_its_object(heatmaps, masks, k, at_least):
    own, other = pointing(heatmaps, masks[:, k]), pointing(heatmaps, masks[:, 1 - k])
    print(f"object {k}: {own:.2f}, the other: {other:.2f}")
    assert own >= at_least
    assert other <= 0.15


def test_each_word_of_a_caption_is_on_its_object(held, x):
    inputs = {"image": x, "words": prefix(jnp.asarray(held.captions))}
    said = net.model("caption")(inputs).argmax(-1)
    assert (np.asarray(said)[:, [0, 1, 3, 4]] == held.captions[:, [0, 1, 3, 4]]).mean() > 0.85
    words = explain("caption", inputs, targets.words(held.captions)).heatmap
    for word, k in ((1, 0), (4, 1)):
        on_its_object(words[:, word], held.masks, k, 0.65)


@pytest.mark.parametrize("question", [0, 4, 2, 6], ids=["shape left", "shape right", "colour of 1", "colour of 2"])
def test_an_answer_is_on_the_object_that_is_asked_about(held, x, question):
    inputs = {"image": x, "words": jnp.asarray(held.questions[:, question])}
    answers = held.answers[:, question]
    assert (np.asarray(net.model("answer")(inputs).argmax(-1)) == answers).mean() > 0.85
    on_its_object(maps("answer", inputs, answers), held.masks, held.asked[question], 0.8)


@pytest.mark.parametrize("k", [0, 1])
def test_a_text_is_on_what_it_names(held, x, k):
    inputs = {"image": x, "words": jnp.asarray(text_of(held, k))}
    on_its_object(maps("similar", inputs, targets.similarity()), held.masks, k, 0.75)


def test_a_predicted_region_is_explained_by_itself(held, x):
    on_its_object(maps("segment", x, targets.segmentation(held.classes[:, 0])), held.masks, 0, 0.8)


def test_a_detected_box_is_explained_by_what_is_in_it(held, x):
    target = targets.detection(held.classes, held.boxes, iou=0.4)
    result = explain("detect", x, target)
    found = ~np.asarray(result.status & int(camjax.Status.BAD_TARGET)).astype(bool)
    assert found.mean() > 0.8
    for k in (0, 1):
        rows = found[:, k]
        on_its_object(result.heatmap[:, k][rows], held.masks[rows], k, 0.8)


def test_an_area_is_explained_by_what_covers_it(held, x):
    on_its_object(maps("area", x, targets.regression(held.classes[:, 1])), held.masks, 1, 0.8)


def test_a_binary_unit_is_explained_by_the_star(held, x):
    star = net.SHAPES.index("star")
    rows = np.flatnonzero(held.classes[:, 0] == star)
    assert len(rows) >= 3
    on_its_object(maps("star", x[rows], targets.binary()), held.masks[rows], 0, 0.8)


def test_the_colours_follow_the_shapes_among_words_and_answers():
    assert net.WORDS[COLOUR] == net.ANSWERS[COLOUR] == net.COLOURS[0]
