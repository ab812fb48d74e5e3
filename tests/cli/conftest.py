import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from camjax.cli._app import app

ROOT = Path(__file__).parents[2]
COLOURS = "python:tests.cli.factories:colours"


@dataclasses.dataclass
class Result:
    code: int
    out: str
    err: str


def picture(left=(220, 20, 20), right=(20, 20, 220)):
    """Red on the left, blue on the right."""
    pixels = np.empty((48, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = left, right
    return Image.fromarray(pixels)


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with three good pictures, which is the current one."""
    monkeypatch.chdir(tmp_path)
    photos = tmp_path / "photos"
    photos.mkdir()
    picture().save(photos / "a.png")
    picture((20, 220, 20)).save(photos / "b.png")
    picture((20, 20, 220), (220, 20, 20)).save(photos / "c.png")
    return tmp_path


@pytest.fixture
def camjax(workplace):
    """The command line, run in this process."""

    def run(*arguments, model=COLOURS):
        extra = ["--model", model] if model and arguments[0] in ("explain", "layers") else []
        result = CliRunner().invoke(app, [*map(str, arguments), *extra], prog_name="camjax")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Result(result.exit_code, result.stdout, result.stderr)

    return run
