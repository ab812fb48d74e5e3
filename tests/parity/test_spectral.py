"""The spectral methods against pytorch-grad-cam 1.5.7 on real weights and photos, up to the sign it leaves open."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

import camjax
from camjax.testing.oracles import spectral
from tests import data
from tests.parity.converted import BY_NAME
from tests.parity.make_spectral_fixture import FIXTURE, LAYER, NETWORK, PHOTOS
from tests.parity.planted import raw_maps

TOLERANCE = 1e-4
METHODS = {
    "EigenCAM": camjax.EigenCAM(center=True),
    "EigenGradCAM": camjax.EigenGradCAM(),
    "KPCACAM": camjax.KPCACAM(),
    "Principal": camjax.Principal(),
}


@functools.cache
def theirs() -> dict[str, np.ndarray]:
    with np.load(FIXTURE) as stored:
        return dict(stored)


@functools.cache
def ours() -> dict[str, np.ndarray]:
    """camjax's raw maps, and those of Eigen-CAM as the paper has it."""
    photos = data.photos(PHOTOS)
    files, labels = [photo.path.name for photo in photos], np.array([photo.label for photo in photos])
    chosen = METHODS | {"paper": camjax.EigenCAM()}
    return raw_maps(NETWORK, LAYER, "float32", files, labels, chosen)


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The largest difference of each photo, up to sign, in units of the map's largest absolute value."""
    both = [np.abs(sign * one - other).max((1, 2)) for sign in (1, -1)]
    return np.minimum(*both) / np.abs(other).max((1, 2))


@pytest.mark.real
@pytest.mark.parametrize("name", METHODS)
def test_maps_equal_those_of_pytorch_grad_cam_up_to_sign(name: str):
    assert apart(ours()[name], theirs()[name]).max() <= TOLERANCE


@functools.cache
def feature_maps() -> np.ndarray:
    """[N, C, h, w], by PyTorch."""
    kept, network = [], BY_NAME[NETWORK]
    module = network.load()
    module.get_submodule(LAYER).register_forward_hook(lambda _, __, output: kept.append(output.double().numpy()))
    with torch.no_grad():
        module(torch.from_numpy(data.batch([photo.path for photo in data.photos(3)], network.style, "NCHW")))
    return kept[0]


@pytest.mark.real
def test_pytorch_grad_cam_centres_what_the_paper_projects():
    """The paper's equation 3 projects the feature maps as they are; that is another map."""
    paper, centred = ours()["paper"], theirs()["EigenCAM"]
    for number, A in enumerate(np.moveaxis(feature_maps(), 1, -1)):
        here = slice(number, number + 1)
        assert apart(spectral.eigencam(A, center=True)[None], centred[here]).max() <= TOLERANCE
        assert apart(paper[here], spectral.eigencam(A)[None]).max() <= TOLERANCE
    assert np.median(apart(paper, centred)) > 0.1
    assert (paper >= -TOLERANCE * np.abs(paper).max()).all()


def test_the_record_has_something_to_see():
    assert theirs().keys() == METHODS.keys()
    for maps in theirs().values():
        assert len(maps) == PHOTOS
        assert np.isfinite(maps).all()
        assert (np.abs(maps).max((1, 2)) > 0).all()
