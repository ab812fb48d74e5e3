"""Trained Linen networks: the adapter loses nothing of their accuracy, their maps equal a split by hand."""

import functools

import jax
import numpy as np
import pytest
from camjax_flax import from_linen
from flax import linen as nn
from flax import serialization

import camjax
from tests.adapters.flax import networks
from tests.data import checkpoint
from tests.wild.case import Case
from tests.wild.check import check

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
    np.testing.assert_allclose(logits[:500], jax.jit(module.apply)(model.params, images[:500]), rtol=1e-4, atol=1e-4)


def test_map_of_the_convolutional_network():
    _, model = trained("cnn")

    def features(v, x):
        p = v["params"]
        x = nn.avg_pool(nn.relu(nn.Conv(32, (3, 3)).apply({"params": p["Conv_0"]}, x)), (2, 2), (2, 2))
        x = nn.Conv(64, (3, 3)).apply({"params": p["Conv_1"]}, x)
        return nn.avg_pool(nn.relu(x), (2, 2), (2, 2))

    def head(v, A, x):
        p = v["params"]
        x = A.reshape(A.shape[0], -1)
        x = nn.relu(x @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"])
        return x @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"]

    images, _ = networks.mnist(4)
    check(Case("CNN", model, images, "after:Conv_1", features, head))


def test_map_of_the_transformer():
    module, model = trained("vit")

    def before(net, x):
        x = net.encoder(net.patch(x))
        for block in net.blocks[:3]:
            x = block(x)
        return x

    def features(v, x):
        net = module.bind(v)
        return net.blocks[3].norm1(before(net, x))

    def head(v, A, x):
        net = module.bind(v)
        x, last = before(net, x), net.blocks[3]
        x = x + last.attn(A)
        x = x + last.mlp(last.norm2(x))
        return net.head(net.norm(x)[:, 0])

    def tokens(A):
        return A[:, 1:].reshape(-1, 4, 4, 128)

    images, _ = networks.mnist(4)
    check(Case("ViT", model, images, "blocks_3.norm1", features, head, tokens, tolerance=1e-4))
