"""One network in four frameworks: the same weights, the same logits and the same maps."""

import functools
from typing import NamedTuple

import camjax_flax
import camjax_torch
import jax.numpy as jnp
import numpy as np
import pytest
import torch as pytorch

import camjax
from camjax import testbed
from tests.twins import linen, nnx, torch


class Twin(NamedTuple):
    model: camjax.Model
    channels_first: bool


def _linen(params):
    return Twin(camjax_flax.from_linen(*linen.network(params)), False)


def _nnx(params):
    return Twin(camjax_flax.from_nnx(nnx.network(params)), False)


def _torch(params):
    return Twin(camjax_torch.from_torch(torch.network(params), pytorch.zeros(1, 3, 64, 64)), True)


MAKERS = {"linen": _linen, "nnx": _nnx, "torch": _torch}


@functools.cache
def twin(name):
    return MAKERS[name](testbed.model().params)


@functools.cache
def pictures():
    return testbed.scenes(41, 8, objects=(2, 2))


def inputs(channels_first):
    x = testbed.preprocess(pictures().images)
    return jnp.moveaxis(x, -1, 1) if channels_first else x


@pytest.mark.parametrize("name", MAKERS)
def test_logits_agree(name):
    ours = testbed.model()(inputs(False))
    theirs = twin(name).model(inputs(twin(name).channels_first))
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-5 * float(jnp.abs(ours).max()))


@pytest.mark.parametrize("layer", [None, "stage3", "stage2.block0", "stage3.block0.conv1"])
@pytest.mark.parametrize("name", MAKERS)
def test_maps_agree(name, layer):
    """Each of both objects' classes, explained at once; the bound is that of the normalised heatmaps."""
    target = pictures().classes[:, :2]
    ours = camjax.explain(testbed.model(), inputs(False), target, layer=layer)
    theirs = camjax.explain(twin(name).model, inputs(twin(name).channels_first), target, layer=layer)
    assert ours.heatmap.shape == (8, 2, 64, 64)
    np.testing.assert_allclose(theirs.heatmap, ours.heatmap, atol=1e-5)
    np.testing.assert_allclose(theirs.raw, ours.raw, atol=1e-5 * float(jnp.abs(ours.raw).max()))
    np.testing.assert_array_equal(theirs.status, ours.status)
