"""What docs/datasets.md shows runs: its Python blocks in order, and its commands are such that exist."""

import re
import shlex

import pytest
import typer

from tests.dataset.conftest import ROOT, folder_of

TEXT = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


RUN = """
import os, sys
import jax
jax.config.update("jax_num_cpu_devices", 2)
import camjax
from camjax import dataset
from tests.dataset.conftest import network
os.chdir(sys.argv[1])
model = network()
model = camjax.Model(model.apply, model.params, ("dog", "cat", "bird"), model.preprocess)
dataset.run("photos", model, "run.zarr", batch=6)
names = {"model": model}
for block in sys.argv[2:]:
    exec(block, names)
assert len(names["names"]) == len(names["scores"]) == 5
assert names["heat"].shape == (1, 8, 8)
assert names["dogs"].raw.shape == (len(names["store"].of_class("dog")), 1, 8, 8)
assert names["statistics"].map.shape[1:] == (8, 8)
assert dataset.open("divided.zarr").progress().done == 5
"""


def test_every_python_block_runs(spawn, tmp_path):
    folder_of(tmp_path / "photos", 5)
    assert len(blocks("python")) == 3
    code, _, err = spawn(RUN, tmp_path, *blocks("python")).end()
    assert code == 0, err


def commands():
    lines = [line.removesuffix(" &") for block in blocks("sh") for line in block.splitlines()]
    found = [match for line in lines for match in re.findall(r"(?:^|srun |=\")(camjax [^\"]*)", line)]
    return [shlex.split(command)[1:] for command in found]


def test_there_are_commands():
    assert len(commands()) == 7


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_every_command_is_one_that_exists(arguments):
    from camjax.cli._app import app

    command = typer.main.get_command(app).commands[arguments[0]]
    command.make_context(arguments[0], arguments[1:])
