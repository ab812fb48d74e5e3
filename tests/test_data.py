"""The helper for real data: skips with a reason, and makes the inputs the networks were trained on."""

import numpy as np
import pytest

from tests import data


def test_without_the_variable_the_test_is_skipped_with_a_reason(monkeypatch):
    monkeypatch.delenv("CAMJAX_DATA", raising=False)
    with pytest.raises(pytest.skip.Exception, match="set CAMJAX_DATA"):
        data.data_dir()


def test_a_wrong_folder_is_an_error_not_a_skip(monkeypatch, tmp_path):
    monkeypatch.setenv("CAMJAX_DATA", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="not a folder"):
        data.data_dir()


@pytest.mark.real
def test_photos_and_inputs():
    photos = data.photos()
    assert len(photos) == 100
    assert photos[0].name == "tench"
    x = data.batch([photo.path for photo in photos[:2]], "tf", "NCHW")
    assert x.shape == (2, 3, 224, 224)
    assert x.dtype == np.float32
    assert -1 <= x.min() < x.max() <= 1
    normalised, raw = (data.batch([photos[0].path], style) for style in ("imagenet", "raw"))
    np.testing.assert_allclose(normalised * data.IMAGENET_STD + data.IMAGENET_MEAN, raw / 255, atol=1e-6)


@pytest.mark.real
@pytest.mark.parametrize("network", ["squeezenet1_1", "mobilenet_v2_tfsame", "mobilenet_v1_0.25"])
def test_references_agree_with_each_other(network):
    reference = data.reference_results(network)
    assert data.reference_logits(network).argmax(1).tolist() == reference.predictions[:10]
    labels = [photo.label for photo in data.photos()]
    assert np.mean(np.equal(labels, reference.predictions)) == pytest.approx(reference.top1)
