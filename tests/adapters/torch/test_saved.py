"""`save` and `load`: a converted model survives in one file, which is read without torch."""

from __future__ import annotations

import subprocess
import sys

import camjax_torch
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

import camjax


class Net(nn.Module):
    """Axis lengths, in-place writes, dtypes, a tied weight, two inputs and named outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout()
        self.head = nn.Linear(8, 5)
        self.again = nn.Linear(8, 5)
        self.again.weight = self.head.weight

    def forward(self, image, scale):
        x = self.drop(self.relu(self.norm(self.conv(image))))
        pooled = x.reshape(x.shape[0], x.shape[1], -1).to(torch.float32).mean(-1) * scale
        return {"logits": self.head(pooled), "again": (self.again(pooled), [pooled[:, :2]])}


@pytest.fixture(scope="module")
def model() -> camjax.Model:
    torch.manual_seed(0)
    example = {"image": torch.zeros(1, 3, 8, 8), "scale": torch.ones(1, 1)}
    spec = camjax.Preprocess(size=(8, 8), resize=None, layout="NCHW")
    return camjax_torch.from_torch(Net(), example, labels="abcde", preprocess=spec)


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "net.safetensors"
    camjax_torch.save(model, path)
    return path


def inputs(batch=3):
    return {"image": jax.random.normal(jax.random.key(0), (batch, 3, 8, 8)), "scale": jnp.full((batch, 1), 2.0)}


def test_the_loaded_model_is_the_saved_one(model, path):
    loaded = camjax_torch.load(path)
    jax.tree.map(np.testing.assert_array_equal, loaded(inputs()), model(inputs()))
    assert loaded.labels == model.labels
    assert loaded.preprocess == model.preprocess
    assert str(camjax.layers(loaded, inputs())) == str(camjax.layers(model, inputs()))


def test_labels_and_preprocess_can_be_given(path):
    loaded = camjax_torch.load(path, labels="vwxyz", preprocess=camjax.Preprocess())
    assert loaded.labels == tuple("vwxyz")
    assert loaded.preprocess == camjax.Preprocess()


def test_bfloat16_weights_keep_their_bits(tmp_path):
    torch.manual_seed(0)
    model = camjax_torch.from_torch(nn.Linear(3, 2).bfloat16(), torch.zeros(1, 3, dtype=torch.bfloat16))
    camjax_torch.save(model, tmp_path / "half.safetensors")
    loaded = camjax_torch.load(tmp_path / "half.safetensors")
    jax.tree.map(np.testing.assert_array_equal, loaded.params, model.params)
    assert loaded.params["weight"].dtype == jnp.bfloat16


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None  # importing it fails
import camjax, camjax_torch, jax.numpy as jnp
model = camjax_torch.load(sys.argv[1])
x = {"image": jnp.ones((2, 3, 8, 8)), "scale": jnp.ones((2, 1))}
print(camjax.explain(model, x, lambda outputs: outputs["logits"][1], layer="relu").heatmap.shape)
"""


def test_a_process_without_torch_loads_and_explains(path):
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, path], capture_output=True, text=True)
    assert done.stdout == "(2, 8, 8)\n", done.stderr


def test_an_operation_of_the_users_must_be_entered_where_the_file_is_read(tmp_path, monkeypatch):
    table = dict(camjax_torch.ops.TABLE)
    monkeypatch.setattr("camjax_torch.ops._table.TABLE", table)
    monkeypatch.setattr("camjax_torch._export.TABLE", table)
    camjax_torch.op("linalg_qr.default")(lambda x, mode="reduced": jnp.linalg.qr(x, mode))
    module = type("Odd", (nn.Module,), {"forward": lambda self, x: torch.linalg.qr(x)[0]})()
    camjax_torch.save(camjax_torch.from_torch(module, torch.zeros(1, 3, 3)), tmp_path / "odd.safetensors")
    del table["linalg_qr.default"]
    with pytest.raises(NotImplementedError, match=r"uses linalg_qr\.default, which the table lacks.*camjax_torch\.op"):
        camjax_torch.load(tmp_path / "odd.safetensors")


def test_what_cannot_be_saved_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match=r"net\.bin must end in \.safetensors, by which load knows it"):
        camjax_torch.save(model, tmp_path / "net.bin")
    with pytest.raises(TypeError, match=r"expected a model that camjax_torch converted; camjax\.export"):
        camjax_torch.save(camjax.testbed.model(), tmp_path / "net.safetensors")
    other = camjax.Model(model.apply, {"conv.weight": jnp.zeros(3)})
    with pytest.raises(TypeError, match=r"params must be the flat dict of from_torch"):
        camjax_torch.save(other, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_an_architecture_for_a_whole_model_is_refused(path):
    with pytest.raises(ValueError, match="is a whole program and needs no architecture; leave arch out"):
        camjax_torch.load(path, arch="resnet18")


def test_a_damaged_file_is_refused(path, tmp_path):
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match="is damaged or is not a safetensors file"):
        camjax_torch.load(broken)
    later = path.read_bytes().replace(b'{\\"format\\": 1,', b'{\\"format\\": 9,')
    broken.write_bytes(later)
    with pytest.raises(ValueError, match="it has format 9, expected 1; update camjax"):
        camjax_torch.load(broken)
