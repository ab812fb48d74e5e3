"""FullGrad's completeness on torchvision's networks: random weights and statistics of the normalisations, float32."""

import camjax_torch
import jax
import jax.numpy as jnp
import pytest

from camjax import testing
from camjax.trace import traced
from tests.adapters.torch.architectures import Architecture

# The biases that there are, where they can be counted: 53 batch normalisations and a matrix; 13 convolutions and 3
# matrices; 52 batch normalisations, 35 ReLU6 and a matrix.
NETWORKS = {"resnet50": 54, "vgg16": 16, "mobilenet_v2": 88, "convnext_tiny": None, "vit_b_16": None}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "biases"), NETWORKS.items())
def test_the_shares_of_the_input_and_of_all_biases_add_up_to_the_score(name, biases):
    architecture = Architecture(f"torchvision:{name}", 224 if name.startswith("vit") else 64)
    model = camjax_torch.from_torch(architecture.module(), architecture.pictures(1))
    x = jnp.asarray(architecture.pictures(1).numpy())
    testing.complete(model, x, rtol=1e-6)
    if biases is not None:
        found = traced(model, x)
        split = found.whole()
        terms = jax.eval_shape(lambda params, x: _sizes(found, split, params, x), split.bound(model.params), x)
        assert len(terms) == biases + 2  # the input's and the target's


def _sizes(found, split, params, x):
    return [term.values for term in found.sites().terms(split, params, x, lambda logits: logits[0])]
