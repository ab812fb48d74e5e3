"""Killed at any moment, a run continues, and its store comes out as if nothing had happened."""

import json
import signal

import numpy as np
import pytest
import zarr

from camjax import dataset
from camjax.dataset import Outcome
from tests.dataset.conftest import content, folder_of
from tests.dataset.killing import BATCH


def killed(spawn, tmp_path, model, count, kills, chunk, processes=1):
    """A run of `count` pictures that is killed so often; checks all that must hold."""
    photos = folder_of(tmp_path / "photos", count)
    store = tmp_path / "killed" / "run.zarr"
    code = "from tests.dataset.killing import main; main()"
    code, out, err = spawn(code, photos, store, kills, 0, chunk, processes, PYTHONWARNINGS="error").end()
    assert code == 0, err
    found = json.loads(out)
    assert found["killed"] >= kills, err  # of several processes, some are through with their share before others
    assert found["statuses"] == [0] * processes, err
    for process in range(processes):
        told = [done for run in found["commits"] for done in run[process]]
        assert told == sorted(set(told))  # no chunk was committed twice
    assert max(map(len, found["commits"][-1])) < count / chunk / processes  # and the last run did not do it all
    dataset.run(photos, model, tmp_path / "run.zarr", batch=BATCH, chunk=chunk)
    assert content(store) == content(tmp_path / "run.zarr")
    assert [path.name for path in store.parent.iterdir()] == ["run.zarr"]


def test_ten_kills_lose_nothing_and_change_nothing(spawn, tmp_path, model):
    killed(spawn, tmp_path, model, count=400, kills=10, chunk=8)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_fifty_kills_over_two_thousand_pictures(spawn, tmp_path, model, processes):
    killed(spawn, tmp_path, model, count=2000, kills=50, chunk=8, processes=processes)


RUN = """
import sys
from camjax import dataset
from tests.dataset.conftest import network
def tell(progress):
    print(progress.done, flush=True)
done = dataset.run(sys.argv[1], network(), sys.argv[2], batch=4, chunk=8, progress=tell)
print("end", done.done, done.stopped, flush=True)
"""


def test_a_store_belongs_to_one_process_and_asked_to_stop_that_finishes_its_chunk(spawn, tmp_path, model):
    photos = folder_of(tmp_path / "photos", 400)
    process = spawn(RUN, photos, tmp_path / "run.zarr")
    first = process.popen.stdout.readline()
    process.popen.send_signal(signal.SIGSTOP)
    with pytest.raises(ValueError, match=r"run.zarr: another process is writing this store"):
        dataset.run(photos, model, tmp_path / "run.zarr", batch=4, chunk=8)
    process.popen.send_signal(signal.SIGTERM)
    process.popen.send_signal(signal.SIGCONT)
    code, out, err = process.end()
    assert code == 0, err
    *_, last = [first, *out.splitlines()]
    word, done, stopped = last.split()
    assert (word, stopped) == ("end", "True")
    assert 8 <= int(done) < 400
    assert int(done) % 8 == 0
    outcome = zarr.open_group(tmp_path / "run.zarr", mode="r")["outcome"][:]
    assert (outcome != Outcome.WAITING).sum() == int(done)
    assert dataset.run(photos, model, tmp_path / "run.zarr", batch=4, chunk=8).here == 400 - int(done)


def test_chunks_missing_in_the_middle_are_explained(tmp_path, model):
    photos = folder_of(tmp_path / "photos", 30)
    for name in ("whole", "holes"):
        dataset.run(photos, model, tmp_path / name, batch=4, chunk=8)
    for chunk in (1, 3):
        (tmp_path / "holes" / "outcome" / "c" / str(chunk)).unlink()
        (tmp_path / "holes" / "maps" / "c" / str(chunk) / "0" / "0" / "0").write_bytes(b"half a chu")
    assert dataset.run(photos, model, tmp_path / "holes", batch=4, chunk=8).here == 8 + 6
    assert content(tmp_path / "holes") == content(tmp_path / "whole")


def test_a_disk_that_changes_a_chunk_is_found_out(tmp_path, model):
    photos = folder_of(tmp_path / "photos", 8)
    dataset.run(photos, model, tmp_path / "run.zarr", batch=4)
    (file,) = [path for path in (tmp_path / "run.zarr" / "maps" / "c").rglob("*") if path.is_file()]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match="checksum"):
        zarr.open_group(tmp_path / "run.zarr", mode="r")["maps"][:]
    assert np.isfinite(zarr.open_group(tmp_path / "run.zarr", mode="r")["score"][:]).all()
