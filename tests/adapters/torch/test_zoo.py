"""The zoos by name: their preprocessing, their class names, and the errors of a wrong name."""

from __future__ import annotations

import sys
from pathlib import Path

import jax.numpy as jnp
import pytest
import torch
from camjax_torch import zoo

import camjax


def test_a_torchvision_network_brings_its_preprocessing_and_classes():
    model = zoo.build("torchvision:squeezenet1_1")
    assert model.preprocess == camjax.Preprocess(
        size=(224, 224), resize=256, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), layout="NCHW"
    )
    assert model.labels is not None
    assert len(model.labels) == 1000
    assert model.labels[282] == "tiger cat"
    assert model(jnp.zeros((2, 3, 224, 224))).shape == (2, 1000)


def test_a_timm_network_brings_its_preprocessing_and_classes():
    preprocess, labels = (found := zoo.entry("timm:resnet18")).describe(found.make(False, None))
    assert preprocess == camjax.Preprocess(size=(224, 224), resize=235, layout="NCHW", interpolation="bicubic")
    assert labels is not None
    assert len(labels) == 1000
    assert labels[0].startswith("tench")


def test_a_bare_name_is_torchvisions_else_timms():
    assert zoo.entry("resnet18").spec == "torchvision:resnet18"
    assert zoo.entry("vit_tiny_patch16_224").spec == "timm:vit_tiny_patch16_224"


def test_weights_from_a_file(tmp_path: Path):
    torch.manual_seed(3)
    module = zoo.entry("squeezenet1_1").make(False, None)
    path = tmp_path / "weights.pth"
    torch.save(module.state_dict(), path)
    model = zoo.build("torchvision:squeezenet1_1", weights=path)
    kernel = module.features[0].weight.detach().numpy().transpose(2, 3, 1, 0)
    assert jnp.array_equal(model.params["features.0.weight"], kernel)
    assert model.labels is not None


def test_random_weights_download_nothing_for_a_backbone_either():
    module = zoo.entry("torchvision:lraspp_mobilenet_v3_large").make(False, 5)
    assert module.eval()(torch.zeros(1, 3, 32, 32))["out"].shape == (1, 5, 32, 32)


def test_another_input_size():
    model = zoo.build("torchvision:squeezenet1_1", size=(64, 96))
    assert model.preprocess is not None
    assert model.preprocess.size == (64, 96)
    assert model(jnp.zeros((1, 3, 64, 96))).shape == (1, 1000)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("torchvision:resnet51", r"no architecture 'resnet51' in torchvision; did you mean .*torchvision:resnet50"),
        ("timm:resnet5000", r"no architecture 'resnet5000' in timm; did you mean .*timm:resnet50"),
        ("mobilnet_v2", r"in torchvision or timm; did you mean .*torchvision:mobilenet_v2"),
        ("qqqqqqq", r"torchvision\.models\.list_models\(\) and timm\.list_models\(\) list them"),
        ("keras:ResNet50", r"no zoo 'keras' \(in 'keras:ResNet50'\); there are torchvision, timm"),
    ],
)
def test_a_wrong_name_is_an_error_with_the_closest_ones(spec: str, text: str):
    with pytest.raises(ValueError, match=text):
        zoo.build(spec)


def test_weights_and_pretrained_exclude_each_other(tmp_path: Path):
    with pytest.raises(ValueError, match=r"weights and pretrained=True exclude each other"):
        zoo.build("resnet18", weights=tmp_path / "weights.pth", pretrained=True)


def test_a_failed_download_is_named(monkeypatch):
    def fail(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    monkeypatch.setattr("torch.hub.get_dir", lambda: "/nonexistent")
    with pytest.raises(ConnectionError, match=r"weights of squeezenet1_1 cannot be downloaded .*with weights="):
        zoo.build("torchvision:squeezenet1_1", pretrained=True)


def test_a_zoo_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"the networks of timm need it installed: pip install timm"):
        zoo.build("timm:resnet18")


def test_torchvisions_own_weights_come_with_their_classes(tmp_path: Path, monkeypatch):
    """From torch's folder of downloads, as if they had been fetched before."""
    weights = zoo.import_torchvision().models.SqueezeNet1_1_Weights.DEFAULT
    module = zoo.entry("squeezenet1_1").make(False, None)
    (tmp_path / "checkpoints").mkdir()
    torch.save(module.state_dict(), tmp_path / "checkpoints" / weights.url.rpartition("/")[2])
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: pytest.fail("it was there"))
    model = zoo.build("torchvision:squeezenet1_1", pretrained=True, size=(32, 32))
    kernel = module.features[0].weight.detach().numpy().transpose(2, 3, 1, 0)
    assert jnp.array_equal(model.params["features.0.weight"], kernel)
    assert model.labels is not None
    assert model.labels[282] == "tiger cat"


def test_timms_own_weights_come_with_their_classes(monkeypatch):
    module = (found := zoo.entry("timm:lcnet_050")).make(False, None)
    fetched = []

    def fetch(repository, **_):
        fetched.append(repository)
        return module.state_dict()

    monkeypatch.setattr("timm.models._builder.has_hf_hub", lambda **_: True)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", fetch)
    own = found.make(True, None)
    assert fetched == ["timm/lcnet_050.ra2_in1k"]
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in own.state_dict().items())
    _, labels = found.describe(own)
    assert labels is not None
    assert labels[0].startswith("tench")
