"""What the README shows runs: every Python block, in order, and every command line is one that exists."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import typer

import camjax

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    """The arguments of each line of the shell blocks that starts with `camjax`."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("camjax ")]


@pytest.fixture
def readers_names() -> dict:
    """What the README takes for granted: a reader's own networks and pictures."""
    nnx = pytest.importorskip("flax.nnx")
    torch = pytest.importorskip("torch")

    class Network(nnx.Module):
        def __init__(self, rngs: nnx.Rngs):
            self.conv = nnx.Conv(3, 8, (3, 3), rngs=rngs)
            self.head = nnx.Linear(8, 2, rngs=rngs)

        def __call__(self, x):
            return self.head(nnx.relu(self.conv(x)).mean((1, 2)))

    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32)
    stem, head = jax.random.split(jax.random.key(0))
    photos = images.transpose(0, 3, 1, 2)
    return {
        "network": Network(nnx.Rngs(0)),
        "torch_module": torch.nn.Sequential(*layers, torch.nn.Linear(8, 5)),
        "torch_photos": torch.from_numpy(photos.copy()),
        "photos": photos,
        "images": images,
        "vit": camjax.testing.tiny_transformer(grid=(4, 4)),
        "params": {
            "stem": jax.random.normal(stem, (3, 3, 3, 8)),
            "head": jax.random.normal(head, (8, 2)),
        },
        "picture": np.full((16, 16, 3), 90, np.uint8),
    }


def test_every_python_block_runs(readers_names: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names = dict(readers_names)
    shown = []
    for block in blocks("python"):
        exec(compile(block, str(README), "exec"), names)
        shown.append(names.get("explanation"))
    assert len(shown) == 15
    flax, torch, plain = (explanation.heatmap.shape for explanation in shown[:3])
    assert (flax, torch, plain) == ((2, 16, 16), (2, 3, 16, 16), (2, 16, 16))
    assert (tmp_path / "panel.png").stat().st_size > 1000


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_is_one_that_exists(arguments: list[str]):
    from camjax.cli._app import app

    command = typer.main.get_command(app).commands[arguments[0]]
    context = command.make_context(arguments[0], arguments[1:])
    spec = context.params.get("model", "testbed")
    assert spec.partition(":")[0] in ("testbed", "torchvision", "timm", "torch", "python")


def test_the_python_and_jax_versions_are_those_of_the_package():
    pyproject = (README.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert 'requires-python = ">=3.11"' in pyproject
    assert '"jax>=0.10"' in pyproject
    assert "Python 3.11 or newer; JAX 0.10 or newer." in README.read_text(encoding="utf-8")


def test_the_picture_is_what_the_first_command_writes(tmp_path: Path):
    image = pytest.importorskip("PIL.Image")
    subprocess.run([sys.executable, "-m", "camjax", "explain", "--out", str(tmp_path)], check=True)
    (panel,) = tmp_path.iterdir()
    with image.open(panel) as written, image.open(README.parent / "docs" / "explain.png") as shown:
        assert written.size == shown.size
        difference = np.abs(np.asarray(written, int) - np.asarray(shown, int))
    assert difference.mean() < 1


def test_the_benchmarks_tables_are_those_that_were_printed():
    text = README.read_text(encoding="utf-8")
    section = text[text.index("## Benchmark") : text.index("## Do maps find the object?")]
    rows = {line for line in section.splitlines() if line.startswith("| ")}
    pages = [path.read_text(encoding="utf-8") for path in (README.parent / "benchmarks").glob("*.md")]
    assert len(rows) > 10
    assert rows <= {line for page in pages for line in page.splitlines()}


def test_a_benchmarks_page_says_where_and_when_it_was_made():
    for name in re.findall(r"\]\(benchmarks/([a-z_]+\.md)\)", README.read_text(encoding="utf-8")):
        page = (README.parent / "benchmarks" / name).read_text(encoding="utf-8")
        assert re.search(r"\d cores .*jax \d+\.\d+.* 20\d\d-\d\d-\d\d", page), name


def test_the_pictures_exist():
    for path in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README.read_text(encoding="utf-8")):
        assert os.path.getsize(README.parent / path) < 500_000
