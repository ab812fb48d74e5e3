"""Pretrained weights: the recorded logits, and the recorded accuracy on the labelled photos."""

from __future__ import annotations

import camjax_torch
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import camjax
from tests import data
from tests.adapters.torch.cifar import ResNet20
from tests.parity.networks import mobilenet_tf_same

pytestmark = pytest.mark.real
IMAGE = torch.zeros(1, 3, 224, 224)


def squeezenet() -> camjax.Model:
    return camjax_torch.load(data.checkpoint("squeezenet1_1_torchvision-keys.pth"), arch="torchvision:squeezenet1_1")


def mobilenet() -> camjax.Model:
    path = data.checkpoint("mobilenet_v2_torchvision-keys_tfsame.pth")
    return camjax_torch.load(path, arch=mobilenet_tf_same, example=IMAGE)


@pytest.mark.parametrize(
    ("build", "network", "style"),
    [(squeezenet, "squeezenet1_1", "imagenet"), (mobilenet, "mobilenet_v2_tfsame", "tf")],
)
def test_logits_and_accuracy_on_photos(build, network: str, style: str):
    model, photos = build(), data.photos()
    apply = jax.jit(model.apply)
    batches = [photos[i : i + 10] for i in range(0, 100, 10)]
    logits = [apply(model.params, jnp.asarray(data.batch([p.path for p in b], style, "NCHW"))) for b in batches]
    reference = data.reference_logits(network)
    np.testing.assert_allclose(logits[0], reference, rtol=0, atol=1e-4 * np.abs(reference).max())
    predictions = np.concatenate([batch.argmax(1) for batch in logits])
    recorded = data.reference_results(network)
    assert predictions.tolist() == recorded.predictions
    assert np.mean(predictions == [p.label for p in photos]) == pytest.approx(recorded.top1)


def test_cifar_resnet20_with_its_container_and_prefix_undone():
    path = data.checkpoint("cifar10_resnet20-12fca82f.th")
    model = camjax_torch.load(path, arch=ResNet20, example=torch.zeros(1, 3, 32, 32))
    module = ResNet20()
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    module.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = module.eval()(x).numpy()
    np.testing.assert_allclose(model(jnp.asarray(x.numpy())), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert model.params["layer2.0.conv1.weight"].shape == (3, 3, 16, 32)
