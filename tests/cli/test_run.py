"""`camjax run`, `camjax status`, `camjax show`: a store from the shell, and what each exit status says."""

import json
import re
import time

import numpy as np
import pytest
from PIL import Image

from camjax import dataset
from camjax.cli import _progress
from tests.cli import factories
from tests.cli.conftest import COLOURS, picture

FACTORIES = "python:tests.cli.factories"
pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture
def run(camjax):
    return lambda *arguments: camjax("run", *arguments, "--model", COLOURS, "--batch", 2)


def test_a_run_its_status_and_a_panel(camjax, run, workplace):
    result = run("photos", "--out", "run.zarr", "-t", "red", "-t", "2", "--maps", "full")
    assert (result.code, result.out) == (0, "")
    assert "3 of 3 done" in result.err
    store = dataset.open(workplace / "run.zarr")
    assert store["b.png"].target.tolist() == [0, 2]
    assert store["b.png"].heatmap.shape == (2, 32, 32)
    assert store.description["about"]["model"] == COLOURS
    status = camjax("status", "run.zarr")
    assert status.code == 0
    assert "GradCAM at features" in status.out
    assert "3 of 3 done\n" in status.out
    shown = camjax("show", "run.zarr", "b.png", "--out", "panels")
    assert (shown.code, shown.out) == (0, "panels/b.png.cam.png\n")
    with Image.open(workplace / "panels" / "b.png.cam.png") as panel:
        assert panel.width > 3 * 320


def test_json(camjax, run):
    lines = run("photos", "--out", "run.zarr", "--json", "--chunk", 2).out.splitlines()
    first, _, last = map(json.loads, lines)
    assert (first["done"], first["total"], first["outcomes"]) == (2, 3, {"waiting": 1, "explained": 2})
    assert (last["done"], last["failed"], last["stopped"]) == (3, 0, False)
    assert [(line["process"], line["processes"]) for line in (first, last)] == [(0, 1)] * 2
    told = json.loads(camjax("status", "run.zarr", "--json").out)
    assert 0 <= time.time() - told.pop("written") < 60
    assert told == {
        "total": 3,
        "done": 3,
        "failed": 0,
        "outcomes": {"explained": 3},
        "per_second": None,
        "seconds_left": None,
        "running": False,
    }


def test_a_log_gets_a_line_now_and_then(run, monkeypatch):
    assert run("photos", "--out", "a.zarr", "--chunk", 2).err.count(" of 3 done") == 1  # at the end
    monkeypatch.setattr(_progress, "EVERY", 0.0)
    assert re.findall(r"(\d) of 3 done, [\d.]+/s\n", run("photos", "--out", "b.zarr", "--chunk", 2).err) == [
        "2",
        "3",
        "3",
    ]


def test_of_several_processes_each_says_which_it_is(monkeypatch, capsys):
    monkeypatch.setattr(_progress, "EVERY", 0.0)
    done = dataset.Progress(5, {dataset.Outcome.EXPLAINED: 4, dataset.Outcome.WAITING: 1}, 4, 2.0)
    _progress.Report(9, False, dataset.Share(1, 2)).tell(done)
    _progress.Report(9, True, dataset.Share(1, 2)).tell(done)
    out, err = capsys.readouterr()
    assert err == "process 1 of 2: 4 of 5 done, 2.0/s\n"
    assert {"process": 1, "processes": 2, "done": 4, "seconds_left": 0.5}.items() <= json.loads(out).items()


def test_who_stops_for_a_lost_process_names_it_and_the_remedy(run, monkeypatch, tmp_path):
    monkeypatch.setattr(dataset.Share, "own", classmethod(lambda cls: cls(0, 2)))
    monkeypatch.setattr("camjax.dataset._work.Work.__call__", _until_lost)
    log = run("photos", "--out", "run.zarr", "--chunk", 2, "--patience", 0.5)
    assert log.code == 3
    assert "process 1: no sign of life for 0.5 seconds, and examples left to do\n" in log.err
    assert "stopped before the end; the same command continues\n" in log.err


def _until_lost(work, found, stop):
    work._began = time.monotonic()
    while not stop.asked:
        time.sleep(0.1)
    return work._now(stop)


def test_who_ends_first_tells_what_the_others_have_not_done(camjax, run, monkeypatch):
    monkeypatch.setattr(dataset.Share, "own", classmethod(lambda cls: cls(0, 2)))
    first = run("photos", "--out", "run.zarr", "--chunk", 2)
    assert first.code == 0
    assert "process 0 of 2: 2 of 2 done" in first.err
    assert "examples of other processes that still wait: 1\n" in first.err
    assert camjax("status", "run.zarr").code == 3
    monkeypatch.setattr(dataset.Share, "own", classmethod(lambda cls: cls(1, 2)))
    last = run("photos", "--out", "run.zarr", "--chunk", 2, "--json")
    assert json.loads(last.out.splitlines()[-1])["others_waiting"] == 0
    assert "still wait" not in last.err


def test_a_rule_for_parameters_that_do_not_fit(run, workplace):
    assert run("photos", "--out", "copies.zarr").code == 0
    assert run("photos", "--out", "parts.zarr", "--devices", 1, "--sharding", f"{FACTORIES}:sharding").code == 0
    copies, parts = (dataset.open(workplace / name) for name in ("copies.zarr", "parts.zarr"))
    np.testing.assert_allclose(parts["b.png"].raw, copies["b.png"].raw, rtol=1e-6)
    assert factories.divided == [""]  # the path of the one parameter, which the rule was asked for


def test_failures_are_listed_and_told_by_the_exit_status(camjax, run, workplace):
    (workplace / "photos" / "b.png").write_text("no picture")
    result = run("photos", "--out", "run.zarr")
    assert result.code == camjax("status", "run.zarr").code == 1
    assert "3 of 3 done, 1 of them could not be explained" in result.err
    assert "  b.png: not a picture, or its beginning is damaged" in result.err
    shown = camjax("show", "run.zarr", "b.png", "d.png", "a.png", "--out", "panels")
    assert (shown.code, shown.out) == (1, "panels/a.png.cam.png\n")
    assert "b.png: not a picture" in shown.err
    assert "'d.png': run.zarr has no example of this name" in shown.err


def test_strict(camjax, run, workplace):
    (workplace / "photos" / "c.png").write_text("no picture")
    result = run("photos", "--out", "run.zarr", "--strict", "--chunk", 2)
    assert result.code == 1
    assert "stopped at the first that cannot be explained: c.png (number 2): not a picture" in result.err
    status = camjax("status", "run.zarr")
    assert status.code == 3
    assert re.search(r"2 of 3 done, last written \d+ s ago\n", status.out)


def test_a_disk_that_is_full(run, monkeypatch):
    from camjax.dataset._writer import Writer

    def full(self, start, values):
        raise dataset.WriteError(28, "No space left on device", "run.zarr")

    monkeypatch.setattr(Writer, "commit", full)
    result = run("photos", "--out", "run.zarr")
    assert result.code == 3
    assert "run.zarr cannot be written: No space left on device." in result.err
    assert "the same command continues" in result.err


def test_targets(run, workplace):
    np.savez(workplace / "x.npz", images=np.stack([np.asarray(picture())] * 2), labels=["green", "blue"])
    assert run("x.npz", "--out", "a.zarr", "-t", "label").code == 0
    assert dataset.open(workplace / "a.zarr").group["target"][:].tolist() == [[1], [2]]
    assert run("x.npz", "--out", "b.zarr", "-t", "top:3", "--dtype", "float16", "--save-weights").code == 0
    assert dataset.open(workplace / "b.zarr")[0].weights.shape == (3, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gone", "-o", "r.zarr"), "error: source: gone: no such file or folder; expected a folder of pictures"),
        (("photos", "-o", "r.zarr", "--maps", "all"), "error: --maps: got 'all', expected coarse or full."),
        (("photos", "-o", "r.zarr", "-t", "mauve"), "error: target: no class is called 'mauve'"),
        (("photos", "-o", "r.zarr", "-t", "3"), "error: target: class 3 does not exist"),
        (("photos", "-o", "r.zarr", "-t", "top:2", "-t", "1"), "error: --target: got top:2, 1; top:K stands by itself"),
        (("photos", "-o", "r.zarr", "--method", "gradcan"), "error: --method: no method is called 'gradcan'"),
        (("photos", "-o", "r.zarr", "--process", 1), "error: --processes, --process: they also need --coordinator"),
        (("photos", "-o", "r.zarr", "--coordinator", "h:1", "--process", 1), "needs --processes N and --process 0 to"),
        (("photos", "-o", "r.zarr", "--devices", 9), "error: devices: got 9, this process has "),
        (
            ("photos", "-o", "r.zarr", "--sharding", "tensor"),
            "--sharding: got 'tensor', expected python:MODULE:FUNCTION",
        ),
        (
            ("photos", "-o", "r.zarr", "--sharding", f"{FACTORIES}:nothing"),
            f"--sharding {FACTORIES}:nothing: the function returned NoneType, expected a camjax.dataset.Shar",
        ),
        (("photos", "-o", "photos/a.png"), "photos/a.png: is no store of camjax run; give another place."),
        (("photos", "-o", "/proc/self/r.zarr"), "error: --out: /proc/self/r.zarr cannot be made"),
    ],
)
def test_wrong_usage_is_one_message(run, workplace, arguments, message):
    result = run(*arguments)
    assert result.code == 2
    assert message in result.err
    assert not (workplace / "r.zarr").exists()


def test_without_the_extra_it_says_what_to_install(run, camjax, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in ("grain", "zarr") else found(name))
    for result in (run("photos", "--out", "r.zarr"), camjax("status", "r.zarr"), camjax("show", "r.zarr", "a")):
        assert result.code == 2
        assert "error: camjax.dataset needs grain, zarr: pip install 'camjax[dataset]'" in result.err


def test_inputs_cannot_be_shown(camjax, workplace):
    np.save(workplace / "x.npy", np.zeros((2, 32, 32, 3), np.float32))
    camjax("run", "x.npy", "--out", "run.zarr", "--model", COLOURS, "--batch", 2, "-t", "1")
    result = camjax("show", "run.zarr", "0")
    assert result.code == 2
    assert "its source holds inputs of the model, not pictures" in result.err
