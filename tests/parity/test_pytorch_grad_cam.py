"""Parity with pytorch-grad-cam 1.5.7 on real weights and photos, on its recorded raw coarse maps.

The library's pictures are normalised by minimum and maximum and resized by OpenCV (`make_fixture.py` tells
the steps); what both sides compute is compared before that: the raw map, in units of its largest absolute
value, and the map after ReLU, divided by its maximum.
"""

from __future__ import annotations

import functools
import itertools

import jax
import numpy as np
import pytest

import camjax
from tests import data
from tests.parity.converted import converted
from tests.parity.make_fixture import FIXTURE, METHODS
from tests.parity.networks import NETWORKS, Case
from tests.parity.planted import Together

BATCH = 17
CASES = [(network.name, case) for network in NETWORKS for case in network.cases]
CASE_IDS = [f"{network}-{case.layer}-{case.dtype}" for network, case in CASES]
TOLERANCE = {"float32": 1e-3, "float64": 1e-6}


@functools.cache
def record() -> dict[str, np.ndarray]:
    with np.load(FIXTURE) as stored:
        return dict(stored)


def explained(name: str, case: Case) -> dict[str, np.ndarray]:
    """camjax's raw maps [N, h, w] of the labelled class of the recorded photos, by method."""
    network, model = converted(name, case.dtype)
    paths = [data.data_dir() / "imagenet100" / str(file) for file in record()["files"][: case.photos]]
    labels = record()["targets"][: case.photos]
    together = Together(tuple(getattr(camjax, method)() for method in METHODS))
    maps = []
    for start in range(0, case.photos, BATCH):
        part = slice(start, start + BATCH)
        x = data.batch(paths[part], network.style, "NCHW").astype(case.dtype)
        maps.append(camjax.explain(model, x, labels[part], layer=case.layer, method=together, size=None).raw)
    return dict(zip(METHODS, np.split(np.concatenate(jax.device_get(maps)), len(METHODS), 1), strict=True))


def positive(raw: np.ndarray) -> np.ndarray:
    """The map after ReLU, divided by its maximum."""
    heat = np.maximum(raw, 0)
    return heat / heat.max((1, 2), keepdims=True)


@pytest.mark.real
@pytest.mark.parametrize(("network", "case"), CASES, ids=CASE_IDS)
def test_maps_equal_those_of_pytorch_grad_cam(network: str, case: Case):
    with jax.enable_x64(case.dtype == "float64"):
        maps = explained(network, case)
    for method, ours in maps.items():
        theirs = record()[f"{network}/{case.layer}/{method}"]
        assert ours.shape == theirs.shape
        assert ours.dtype == case.dtype
        assert np.abs(positive(ours) - positive(theirs)).max() <= TOLERANCE[case.dtype]
        unit = np.abs(theirs).max((1, 2), keepdims=True)
        assert np.abs((ours - theirs) / unit).max() <= TOLERANCE[case.dtype]


def test_the_record_covers_enough_photos_with_something_to_see():
    assert len(record()["files"]) == len(record()["targets"]) >= 20
    assert "grad-cam 1.5.7" in record()["versions"]
    for (network, case), method in itertools.product(CASES, METHODS):
        maps = record()[f"{network}/{case.layer}/{method}"]
        assert len(maps) == case.photos
        assert np.isfinite(maps).all()
        assert (maps.max((1, 2)) > 0).all()


@pytest.mark.parametrize("layer", ["squeezenet1_1/features.9", "mobilenet_v2_tfsame/features.14"])
def test_the_methods_differ_on_the_record_by_far_more_than_the_tolerance(layer: str):
    maps = {method: positive(record()[f"{layer}/{method}"]) for method in METHODS}
    for one, other in itertools.combinations(METHODS, 2):
        assert np.median(np.abs(maps[one] - maps[other]).max((1, 2))) > 0.1
