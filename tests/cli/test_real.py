"""A pretrained network on photos, from the shell: what is printed is what PyTorch predicts."""

import numpy as np
import pytest

from tests import data

pytest.importorskip("torch", reason="the pretrained networks are PyTorch's")
pytestmark = pytest.mark.real
SQUEEZENET = "torchvision:squeezenet1_1"


def load(path):
    with np.load(path) as stored:
        return dict(stored)


def test_predictions_on_photos_are_pytorchs(camjax, workplace):
    weights = data.checkpoint("squeezenet1_1_torchvision-keys.pth")
    photos = [photo.path for photo in data.photos(10)]
    result = camjax("explain", *photos, "-w", weights, "-t", "top:1", "--save-arrays", model=SQUEEZENET)
    assert result.code == 0, result.err
    logits = data.reference_logits("squeezenet1_1")
    for photo, expected in zip(photos, logits, strict=True):
        arrays = load(workplace / "camjax-out" / f"{photo.stem}.npz")
        assert arrays["predicted"] == expected.argmax()
        # The crop is resampled in one step, so pixels differ by rounding: at most 1 of 255.
        np.testing.assert_allclose(arrays["score"][0], expected.max(), rtol=0.02)
        softmax = np.exp(expected - expected.max())
        np.testing.assert_allclose(arrays["softmax"][0], 1 / softmax.sum(), atol=0.02)


def test_names_are_imagenets(camjax):
    both = data.data_dir() / "demo" / "both.png"
    weights = data.checkpoint("squeezenet1_1_torchvision-keys.pth")
    asked = ["-t", "Tiger Cat", "-t", "bull mastiff", "--resize", "224"]
    result = camjax("explain", both, "-w", weights, *asked, model=SQUEEZENET)
    assert result.code == 0, result.err
    cells = [line.split() for line in result.out.splitlines()]
    assert cells[1][:5] == ["both.png", "tiger", "cat", "30.870", "0.378"]
    assert cells[2][:4] == ["bull", "mastiff", "30.787", "0.348"]
