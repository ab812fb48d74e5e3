"""A pretrained Linen network with real batch statistics: it says what PyTorch says, and points at what it names."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest

import camjax
from tests import data

pytest.importorskip("flax", reason="the network is a Linen module")
pytestmark = pytest.mark.real
NETWORK = "mobilenet_v1_0.25"


@functools.cache
def model() -> camjax.Model:
    import camjax_flax

    from tests.real.mobilenet_v1 import MobileNet, variables

    return camjax_flax.from_linen(MobileNet(), variables())


@functools.cache
def logits() -> np.ndarray:
    """The logits of all labelled photos."""
    x = data.batch([photo.path for photo in data.photos()], "tf")
    run = jax.jit(lambda model, x: model(x))
    return np.concatenate([run(model(), part) for part in np.split(x, 4)])


def test_logits_are_pytorchs():
    expected = data.reference_logits(NETWORK)
    assert np.abs(logits()[:10] - expected).max() <= 1e-4 * np.abs(expected).max()


def test_accuracy_on_the_labelled_photos_is_the_recorded_one():
    reference = data.reference_results(NETWORK)
    predictions = logits().argmax(1)
    assert predictions.tolist() == reference.predictions
    labels = [photo.label for photo in data.photos()]
    assert np.mean(predictions == labels) == pytest.approx(reference.top1)


def test_the_default_layer_is_the_last_feature_maps():
    x = data.batch([photo.path for photo in data.photos(1)], "tf")
    default = camjax.layers(model(), x).default
    assert default.shape == (1, 7, 7, 256)


@pytest.mark.parametrize(("target", "animal"), [(282, "cat"), (243, "dog")])
def test_points_at_the_animal_of_the_class(target: int, animal: str):
    from tests.real.boxes import BOXES, peak

    x = data.batch([data.data_dir() / "demo" / "both.png"], "tf", resize=224)
    # on the coarse map, since the heatmap is flat from the centre of a border cell to the border
    raw = camjax.explain(model(), x, target, size=None).raw
    assert BOXES["both.png"][animal].holds(*peak(raw[0]))
