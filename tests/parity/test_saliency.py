"""Guided Backpropagation and DeconvNet against captum and pytorch-grad-cam, on their recorded values.

On SqueezeNet, whose ReLUs are all modules, all three agree. Elsewhere the libraries leave out, without a word, a ReLU
that is called as a function and every ReLU6; `make_saliency_fixture.py` tells how they work.
"""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
import torch

import camjax
from camjax.saliency import DeconvNet, GuidedBackprop, Saliency
from camjax.testing import oracles
from camjax.testing.oracles.saliency import Layer
from tests import data
from tests.parity.converted import converted
from tests.parity.make_saliency_fixture import FIXTURE, Mixed, kept, mixed_inputs, sums

TOLERANCE = 1e-6


@functools.cache
def record() -> dict[str, np.ndarray]:
    with np.load(FIXTURE) as stored:
        return dict(stored)


def furthest(ours: np.ndarray, name: str) -> float:
    """The largest difference of a recorded pixel, or of a picture's sums, relative to the picture's largest."""
    found = []
    for got, stored in ((kept(ours), record()[name]), (sums(ours), record()[f"{name}/sums"])):
        want, rest = stored[: len(got)], tuple(range(1, stored.ndim))
        found.append((np.abs(got - want).max(rest) / np.abs(want).max(rest)).max())
    return max(found)


@pytest.mark.real
@pytest.mark.parametrize(
    ("method", "names", "count"),
    [
        (GuidedBackprop(), ["captum/GuidedBackprop", "pytorch_grad_cam/GuidedBackprop"], 20),
        (DeconvNet(), ["captum/Deconvolution"], 4),
    ],
    ids=["guided", "deconvnet"],
)
def test_all_agree_where_every_relu_is_a_module(method: Saliency, names: list[str], count: int):
    with jax.enable_x64(True):
        network, model = converted("squeezenet1_1", "float64")
        paths = [data.data_dir() / "imagenet100" / str(file) for file in record()["files"][:count]]
        x = data.batch(paths, network.style, "NCHW").astype("float64")
        labels = record()["targets"][:count]
        ours = np.asarray(camjax.attribute(model, x, labels, method=method, chunk=10).values)
    for name in names:
        assert furthest(ours, name) <= TOLERANCE


def mixed_layers() -> list[Layer]:
    """`Mixed` as the oracle takes it."""
    caps = (np.inf, 6.0, np.inf, None)
    return [Layer(W.detach().numpy(), np.zeros(W.shape[1]), cap) for W, cap in zip(Mixed().weights, caps, strict=True)]


def test_the_oracle_is_on_our_side():
    import camjax_torch

    x = mixed_inputs()
    with jax.enable_x64(True):
        model = camjax_torch.from_torch(Mixed(), torch.from_numpy(x))
        ours = np.asarray(camjax.attribute(model, x, 0, method=GuidedBackprop()).values)
    layers = mixed_layers()
    guided = np.stack([oracles.saliency.backward(row, layers, 0, "guided") for row in x])
    np.testing.assert_allclose(ours, guided, rtol=0, atol=TOLERANCE * np.abs(guided).max())
    # What captum gives: the last ReLU, a module, is guided; the functional one and the ReLU6 keep their derivative.
    theirs = record()["mixed/captum/GuidedBackprop"]
    assert np.abs(theirs - guided).max() > 0.1 * np.abs(guided).max()
    for row, got in zip(x, theirs, strict=True):
        first, second, third = (row := np.asarray(row)), None, None
        first = row @ layers[0].W
        second = np.maximum(first, 0) @ layers[1].W
        third = np.clip(second, 0, 6) @ layers[2].W
        R = layers[3].W[:, 0]
        R = np.where((third > 0) & (R > 0), R, 0)
        R = layers[2].W @ R * ((second > 0) & (second < 6))
        R = layers[1].W @ R * (first > 0)
        np.testing.assert_allclose(got, layers[0].W @ R, rtol=0, atol=TOLERANCE * np.abs(theirs).max())


def test_the_record_is_what_it_says():
    assert {"captum 0.9.0", "grad-cam 1.5.7"} <= set(record()["versions"])
    assert len(record()["files"]) == len(record()["targets"]) == 20
    for key, stored in record().items():
        if "/" in key:
            assert np.isfinite(stored).all()
            assert np.abs(stored).max() > 0
