"""Trained Linen networks: the adapter loses nothing of their accuracy, and their maps are about the digit."""

import functools

import jax
import numpy as np
import pytest
from flax import linen as nn
from flax import serialization

import camjax
from camjax_flax import from_linen
from tests.adapters.flax import networks
from tests.data import checkpoint

pytestmark = pytest.mark.real


@functools.cache
def trained(name: str) -> tuple[nn.Module, camjax.Model]:
    module = {"cnn": networks.CNN, "vit": networks.ViT}[name]()
    variables = serialization.msgpack_restore(checkpoint(f"flax_{name}_mnist.msgpack").read_bytes())
    return module, from_linen(module, variables, labels=[str(digit) for digit in range(10)])


@pytest.mark.parametrize(("name", "accuracy"), [("cnn", 0.971), ("vit", 0.970)])
def test_accuracy_on_the_test_digits(name, accuracy):
    module, model = trained(name)
    images, labels = networks.mnist()
    run = jax.jit(lambda model, x: model(x))
    logits = np.concatenate([run(model, batch) for batch in np.split(images, 20)])
    assert np.mean(logits.argmax(-1) == labels) >= accuracy
    np.testing.assert_allclose(
        logits[:500], jax.jit(module.apply)(model.params, images[:500]), rtol=1e-4, atol=1e-4
    )
