"""Pictures with a cat and a dog: each class's map has its maximum on the right animal.

SqueezeNet's own class map, the classifier's output at every position before it is averaged, is largest for
`tiger cat` on the dog's face: the network, not the explanation, sees a cat's features there, so the map of
that class alone is tested to say just that, and the maps of the classes' *difference* to tell them apart.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from tests import data
from tests.parity.converted import converted
from tests.real.boxes import BOXES, peak

pytestmark = pytest.mark.real
TIGER_CAT, TABBY, BULL_MASTIFF, BOXER = 282, 281, 243, 242


def picture(file: str, style: str) -> np.ndarray:
    """A demo picture as a batch of one, NCHW, its shorter side exactly the input's."""
    path = data.data_dir() / "demo" / file
    return data.batch([path], style, "NCHW", resize=224)


@pytest.mark.parametrize("file", BOXES)
@pytest.mark.parametrize(
    ("target", "animal"), [(TIGER_CAT, "cat"), (TABBY, "cat"), (BULL_MASTIFF, "dog"), (BOXER, "dog")]
)
def test_mobilenet_points_at_the_animal_of_the_class(file: str, target: int, animal: str):
    network, model = converted("mobilenet_v2_tfsame")
    explanation = camjax.explain(model, picture(file, network.style), target)
    assert explanation.heatmap.shape == (1, 224, 224)
    assert BOXES[file][animal].holds(*peak(explanation.heatmap[0]))


@pytest.mark.parametrize("method", [camjax.GradCAM(), camjax.HiResCAM()])
@pytest.mark.parametrize(
    ("target", "other", "animal"), [(TIGER_CAT, BULL_MASTIFF, "cat"), (BULL_MASTIFF, TIGER_CAT, "dog")]
)
def test_squeezenet_tells_the_animals_apart_by_the_difference_of_the_classes(
    method, target: int, other: int, animal: str
):
    network, model = converted("squeezenet1_1")
    x = picture("both.png", network.style)
    explanation = camjax.explain(model, x, camjax.targets.contrast(target, other), method=method)
    assert BOXES["both.png"][animal].holds(*peak(explanation.heatmap[0]))


def test_squeezenet_sees_both_animals_in_the_picture():
    network, model = converted("squeezenet1_1")
    explanation = camjax.explain(model, picture("both.png", network.style), camjax.targets.top(2))
    assert explanation.target[0].tolist() == [TIGER_CAT, BULL_MASTIFF]
    probability = jnp.exp(explanation.score[0] - jnp.logaddexp.reduce(model(picture("both.png", network.style))[0]))
    np.testing.assert_allclose(probability, [0.38, 0.35], atol=0.005)


@pytest.mark.parametrize("target", [TIGER_CAT, BULL_MASTIFF])
def test_squeezenets_map_of_a_class_peaks_where_its_own_class_map_does(target: int):
    network, model = converted("squeezenet1_1")
    x = picture("both.png", network.style)
    class_maps = camjax.split(model, x, "classifier.2").features(model.params, x)[0]
    explanation = camjax.explain(model, x, target, method=camjax.HiResCAM(), size=None)
    assert peak(explanation.raw[0]) == peak(class_maps[0, target])
    assert BOXES["both.png"]["dog"].holds(*peak(class_maps[0, target]))
