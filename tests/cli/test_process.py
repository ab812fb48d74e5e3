"""The command line as a process of its own."""

import os
import subprocess
import sys

import pytest
from PIL import Image

import camjax
from tests.cli.conftest import COLOURS, ROOT, picture


def run(*arguments, cwd=ROOT, **environment):
    return subprocess.run(
        [sys.executable, "-m", "camjax", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


def test_version():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"camjax {camjax.__version__}\n", "")


def test_the_installed_command_is_the_same():
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="camjax")
    assert script.value == "camjax.cli:main"


@pytest.mark.parametrize("typed", ["--help", "--version", "explain --help", "explain gone.png"])
def test_what_needs_no_model_starts_without_jax(typed):
    code = (
        "import sys; from camjax.cli import main\n"
        f"sys.argv[1:] = {typed.split()!r}\n"
        "try: main()\n"
        "except SystemExit: print([m for m in ('jax', 'torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_explaining_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from camjax.cli import main\n"
        f"sys.argv[1:] = ['explain', '--out', {str(tmp_path)!r}]\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code, [m for m in ('torch', 'flax', 'optax', 'scipy', "
        "'matplotlib.pyplot', 'matplotlib.font_manager') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_without_arguments_the_picture_that_comes_with_camjax_is_explained(tmp_path):
    done = run("explain", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "picture.cam.png" in done.stdout
    with Image.open(tmp_path / "camjax-out" / "picture.cam.png") as panel:
        assert panel.width > 3 * 320


def test_status_and_streams(tmp_path):
    picture().save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no pixels here")
    done = run("explain", tmp_path, "--model", COLOURS, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "good.png" in done.stdout
    assert "bad.png" not in done.stdout
    assert "bad.png: not a picture" in done.stderr
    assert (tmp_path / "out" / "good.cam.png").is_file()
    done = run("explain", tmp_path / "good.png", "--model", "nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --model: 'nonsense' is no model")
    assert "Traceback" not in done.stderr


def test_many_pictures_on_a_terminal_have_a_progress_bar(tmp_path):
    for name in "ab":
        picture().save(tmp_path / f"{name}.png")
    arguments = ["explain", tmp_path, "--model", COLOURS, "--out", tmp_path / "out"]
    assert "explaining" not in run(*arguments).stderr
    assert "explaining" in run(*arguments, FORCE_COLOR="1").stderr


def test_layers_of_the_testbed():
    done = run("layers")
    assert done.returncode == 0
    assert sum(line.startswith("*") for line in done.stdout.splitlines()) == 1
