"""`load`: every form of weights file, nothing executed, every mismatch named."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import camjax_torch
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.torch
import torch
from camjax_torch._checkpoint import fit_keys, read_state_dict
from torch import nn

import camjax
from tests.adapters.torch.scopes import scope_paths

EXAMPLE = torch.zeros(1, 3, 8, 8)
X = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def build() -> nn.Module:
    torch.manual_seed(7)
    return nn.Sequential(
        OrderedDict(conv=nn.Conv2d(3, 4, 3), bn=nn.BatchNorm2d(4), flat=nn.Flatten(), fc=nn.Linear(144, 5))
    )


@pytest.fixture
def trained() -> nn.Module:
    module = build().eval()
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand(value.shape))
    return module


def check(model: camjax.Model, module: nn.Module) -> None:
    with torch.no_grad():
        np.testing.assert_allclose(model(jnp.asarray(X.numpy())), module(X).numpy(), rtol=1e-4, atol=1e-5)


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


WRAPPINGS = {
    "plain": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "epoch": 3, "optimizer": {"lr": 0.1}},
    "model_state_dict": lambda s: {"model_state_dict": s},
    "model": lambda s: {"model": s},
    "nested": lambda s: {"model": {"state_dict": s}},
    "averaged": lambda s: {"model": {k: torch.zeros_like(v) for k, v in s.items()}, "model_ema": s},
    "module.": lambda s: prefixed(s, "module."),
    "model.": lambda s: prefixed(s, "model."),
    "both": lambda s: {"state_dict": prefixed(s, "model.module.")},
    "compiled": lambda s: prefixed(s, "_orig_mod."),
    "swa": lambda s: {"n_averaged": torch.tensor(4), **prefixed(s, "module.")},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".th"])
def test_state_dicts_in_their_usual_wrappings(tmp_path: Path, trained: nn.Module, wrapping: str, suffix: str):
    if suffix != ".pth" and wrapping != "plain":
        return
    path = tmp_path / f"weights{suffix}"
    torch.save(WRAPPINGS[wrapping](trained.state_dict()), path)
    check(camjax_torch.load(path, arch=build, example=EXAMPLE), trained)


@pytest.mark.parametrize("name", ["state_dict_ema", "model_ema", "ema_state_dict", "ema", "state_dict"])
def test_averaged_weights_are_taken_before_the_last_ones(tmp_path: Path, name: str):
    path = tmp_path / "weights.pth"
    last = {"model": {"weight": torch.zeros(1)}, "model_state_dict": {"weight": torch.zeros(1)}, "epoch": 3}
    torch.save({**last, name: {"module.weight": torch.ones(1)}}, path)
    (found,) = fit_keys(read_state_dict(path), ["weight"]).items()
    assert found == ("weight", torch.ones(1))


def test_safetensors(tmp_path: Path, trained: nn.Module):
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(prefixed(trained.state_dict(), "model."), path)
    check(camjax_torch.load(str(path), arch=build, example=EXAMPLE), trained)


def test_a_module_given_as_architecture_keeps_its_own_weights(tmp_path: Path, trained: nn.Module):
    path = tmp_path / "weights.pth"
    torch.save(trained.state_dict(), path)
    mine = build()
    before = mine.fc.weight.clone()
    check(camjax_torch.load(path, arch=mine, example=EXAMPLE), trained)
    assert torch.equal(mine.fc.weight, before)


def test_a_module_whose_own_names_begin_with_model(tmp_path: Path, trained: nn.Module):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = build()

        def forward(self, x):
            return self.model(x)

    path = tmp_path / "weights.pth"
    torch.save(prefixed(trained.state_dict(), "model."), path)
    model = camjax_torch.load(path, arch=Wrapped, example=EXAMPLE)
    check(model, trained)
    assert "model.fc.weight" in model.params


def test_a_whole_program(tmp_path: Path, trained: nn.Module):
    path = tmp_path / "program.pt2"
    batch = torch.export.Dim("batch")
    exported = torch.export.export(trained, (X,), dynamic_shapes=({0: batch},))
    torch.export.save(exported, path)
    model = camjax_torch.load(path, labels=["a", "b", "c", "d", "e"])
    check(model, trained)
    assert model.labels == ("a", "b", "c", "d", "e")
    assert model.params["conv.weight"].shape == (3, 3, 3, 4)
    assert scope_paths(jax.make_jaxpr(model.apply)(model.params, jnp.asarray(X.numpy())).jaxpr) == {
        "conv",
        "bn",
        "flat",
        "fc",
    }
    with pytest.raises(ValueError, match=r"program\.pt2 is a whole program and needs no architecture"):
        camjax_torch.load(path, arch="resnet18")


# torch's own decomposition, which the test calls as a user would, uses what torch deprecates
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_a_program_in_core_aten(tmp_path: Path, trained: nn.Module):
    """Decomposed programs wrap a linear layer's weight in a permutation; it is stored turned all the same."""
    path = tmp_path / "program.pt2"
    batch = torch.export.Dim("batch")
    exported = torch.export.export(trained, (X,), dynamic_shapes=({0: batch},)).run_decompositions()
    torch.export.save(exported, path)
    model = camjax_torch.load(path)
    check(model, trained)
    assert model.params["fc.weight"].shape == (144, 5)


def test_a_program_without_a_free_batch_axis(trained: nn.Module):
    model = camjax_torch.from_exported(torch.export.export(trained, (X,)))
    check(model, trained)


def test_the_number_of_classes_is_that_of_the_weights(tmp_path: Path):
    from camjax_torch import zoo

    torchvision = zoo.import_torchvision()
    path = tmp_path / "weights.pth"
    torch.save(torchvision.models.squeezenet1_1(num_classes=7).state_dict(), path)
    model = camjax_torch.load(path, arch="torchvision:squeezenet1_1", example=torch.zeros(1, 3, 64, 64))
    assert model(jnp.zeros((1, 3, 64, 64))).shape == (1, 7)
    assert model.labels is None


class Malicious:
    def __reduce__(self):
        return os.system, ("echo this must not run",)


@pytest.mark.parametrize("content", [Malicious(), {"state_dict": {"a": Malicious()}}, build()])
def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, content, capfd):
    path = tmp_path / "evil.pth"
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"evil\.pth is refused: besides weights it asks for \w+[\w.]*, and a pickle"):
        camjax_torch.load(path, arch=build, example=EXAMPLE)
    assert "must not run" not in capfd.readouterr().out


def test_a_bare_malicious_pickle_is_refused(tmp_path: Path, capfd):
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps(Malicious(), protocol=2))
    with pytest.raises(ValueError, match=r"evil\.pt is (refused|damaged)"):
        camjax_torch.load(path, arch=build, example=EXAMPLE)
    assert "must not run" not in capfd.readouterr().out


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".pt2"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", "truncated"])
def test_damaged_files_are_named(tmp_path: Path, trained: nn.Module, suffix: str, content):
    path = tmp_path / f"weights{suffix}"
    if content == "truncated":
        whole = tmp_path / "whole.pth"
        torch.save(trained.state_dict(), whole)
        content = whole.read_bytes()[:1000]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights\{suffix} is damaged or is not a "):
        camjax_torch.load(path, arch=None if suffix == ".pt2" else build, example=EXAMPLE)


def test_another_zip_file_is_named(tmp_path: Path):
    path = tmp_path / "archive.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(ValueError, match=r"archive\.pth is damaged or is not a file of torch\.save"):
        camjax_torch.load(path, arch=build, example=EXAMPLE)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no file .*none\.pth \(its folder exists\); check the path"):
        camjax_torch.load(tmp_path / "none.pth", arch=build, example=EXAMPLE)
    with pytest.raises(FileNotFoundError, match=r"its folder does not exist either"):
        camjax_torch.load(tmp_path / "gone" / "none.pth", arch=build, example=EXAMPLE)
    with pytest.raises(IsADirectoryError, match=r"is a folder; name the file"):
        camjax_torch.load(tmp_path, arch=build, example=EXAMPLE)


@pytest.mark.parametrize("content", [{"epoch": 3}, {}, [1, 2], torch.zeros(3)])
def test_a_file_without_weights_says_what_it_holds(tmp_path: Path, content):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    with pytest.raises(ValueError, match=r"other\.pth holds no weights, but .*expected a state_dict"):
        camjax_torch.load(path, arch=build, example=EXAMPLE)


def test_wrong_keys_and_shapes_are_reported_as_torch_does(tmp_path: Path, trained: nn.Module):
    state = trained.state_dict()
    state["head.weight"] = state.pop("fc.weight")
    state["conv.bias"] = torch.zeros(9)
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    with pytest.raises(ValueError, match=r"are not those of a Sequential; is arch right") as raised:
        camjax_torch.load(path, arch=build, example=EXAMPLE)
    text = str(raised.value)
    assert 'Missing key(s) in state_dict: "fc.weight"' in text
    assert 'Unexpected key(s) in state_dict: "head.weight"' in text
    assert "size mismatch for conv.bias" in text


def test_weights_need_their_architecture_and_a_module_its_example(tmp_path: Path, trained: nn.Module):
    path = tmp_path / "weights.pth"
    torch.save(trained.state_dict(), path)
    with pytest.raises(ValueError, match=r'say which with arch=, for example arch="torchvision:resnet50"'):
        camjax_torch.load(path)
    with pytest.raises(ValueError, match=r"example is needed to convert a Sequential: .*torch\.zeros"):
        camjax_torch.load(path, arch=build)
