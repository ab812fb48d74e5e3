"""PyTorch models from the shell: an exported program, and the zoos' names."""

import re

import numpy as np
import pytest

from tests.cli.test_explain import load, rows

torch = pytest.importorskip("torch", reason="PyTorch models need PyTorch")

FIRST = "torchvision:"


class Colours(torch.nn.Module):
    """How much red, green and blue there is, on a grid of 8 x 8."""

    def __init__(self):
        super().__init__()
        self.features = torch.nn.Conv2d(3, 3, 4, 4, bias=False)
        with torch.no_grad():
            self.features.weight.copy_(torch.eye(3)[:, :, None, None].expand(3, 3, 4, 4) / 16)

    def forward(self, x):
        return 10 * self.features(x).mean((2, 3))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("torch") / "colours.pt2"
    shapes = {"x": {0: torch.export.Dim("batch")}}
    torch.export.save(torch.export.export(Colours(), (torch.zeros(2, 3, 32, 32),), dynamic_shapes=shapes), path)
    return path


def test_an_exported_program_has_its_channels_first(camjax, workplace, program):
    plain = ["--size", "32", "--resize", "none", "--mean", "0,0,0", "--std", "1,1,1"]
    result = camjax("explain", "photos/a.png", "-t", "0", *plain, "--save-arrays", model=f"torch:{program}")
    assert result.code == 0, result.err
    assert "NCHW" in result.err
    arrays = load(workplace / "camjax-out" / "a.npz")
    assert arrays["layer"].item() == "features"
    assert arrays["heatmap"][0, :, :14].min() > 0.95
    assert arrays["heatmap"][0, :, 18:].max() < 0.2
    expected = Colours()(torch.tensor(arrays["picture"] / 255, dtype=torch.float32).permute(2, 0, 1)[None])
    np.testing.assert_allclose(arrays["score"], expected[0, :1].detach().numpy(), rtol=1e-4)
    assert rows(result)[0][1] == "class 0"


def test_an_exported_program_that_wants_another_size_says_so(camjax, workplace):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 4, 4), torch.nn.Flatten(), torch.nn.Linear(192, 2))
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(module, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=shapes)
    torch.export.save(program, workplace / "fixed.pt2")
    result = camjax("explain", "photos/a.png", model="torch:fixed.pt2")
    assert result.code == 2
    assert "Traceback" not in result.err
    assert re.search(r"error: model: .*\(1, 3, 224, 224\)", result.err)
    assert camjax("explain", "photos/a.png", "--size", "32", model="torch:fixed.pt2").code == 0


def test_a_file_that_is_no_program(camjax, workplace):
    (workplace / "notes.pt2").write_text("no program here")
    result = camjax("explain", "photos/a.png", model="torch:notes.pt2")
    assert result.code == 2
    assert "notes.pt2 is damaged or is not a program of torch.export.save" in result.err


def test_a_network_by_name_lists_its_layers_with_random_weights(camjax):
    result = camjax("layers", model=FIRST + "squeezenet1_1")
    assert result.code == 0, result.err
    assert "features.12.expand3x3" in result.out
    assert sum(line.startswith("*") for line in result.out.splitlines()) == 1


def test_a_misspelt_network_names_the_closest(camjax):
    result = camjax("layers", model=FIRST + "squeezenet1_2")
    assert result.code == 2
    assert "squeezenet1_1" in result.err


def test_weights_of_another_network_are_refused(camjax, workplace):
    torch.save(Colours().state_dict(), workplace / "colours.pth")
    result = camjax("explain", "photos/a.png", "-w", "colours.pth", model=FIRST + "squeezenet1_1")
    assert result.code == 2
    assert "colours.pth are not those of a SqueezeNet" in result.err


def test_without_a_file_the_zoo_is_asked_for_its_own_weights(camjax, monkeypatch):
    """And where it cannot be reached, nothing is explained with random ones."""

    def unreachable(*args, **kwargs):
        raise ConnectionError("build: the weights of squeezenet1_1 cannot be downloaded; give a file.")

    from camjax_torch import zoo

    asked = {}
    monkeypatch.setattr(zoo, "build", lambda spec, **options: asked.update(spec=spec, **options) or unreachable())
    result = camjax("explain", "photos/a.png", "--size", "64x96", model=FIRST + "squeezenet1_1")
    assert result.code == 2
    assert "cannot be downloaded" in result.err
    assert asked == {"spec": FIRST + "squeezenet1_1", "weights": None, "pretrained": True, "size": (64, 96)}
