"""The public `layers` and `split`: by name, by default, or handed through."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from tests import models


def test_shapes_are_enough():
    model, spec = models.model(), jax.ShapeDtypeStruct((1, 6, 6, 2), jnp.float32)
    table = camjax.layers(model, spec)
    assert table.default.name == "conv"
    assert camjax.split(model, spec).name == "conv"


def test_features_then_head_is_the_model():
    model, x = models.model(models.DENSE), models.pictures()
    for layer in ("conv", "hidden"):
        axes = {"space": 1, "channel": None} if layer == "hidden" else None
        split = camjax.split(model, x, layer, axes=axes)
        np.testing.assert_allclose(split.head(model.params, *split.features(model.params, x)), model(x), rtol=1e-5)


def test_a_split_is_the_same_object_for_the_same_arguments():
    model, x = models.model(), models.pictures()
    assert camjax.split(model, x) is camjax.split(model, x[:1], "conv")


def test_a_hand_written_split_is_handed_through():
    model, x = models.model(), models.pictures()
    assert camjax.split(model, x, models.POOLED) is models.POOLED
    axes = camjax.Axes.of((1, 6, 6, 5))
    assert camjax.split(model, x, models.POOLED, axes=axes).axes == axes


def test_what_is_no_model_and_no_layer():
    model, x = models.model(), models.pictures()
    with pytest.raises(ValueError, match=r"model: expected a camjax.Model, got dict"):
        camjax.layers({}, x)
    with pytest.raises(ValueError, match=r"layer: got 4, expected a layer's name .* or None for the default layer"):
        camjax.split(model, x, 4)
