"""Several devices and several processes give the same store as one."""

import json
import signal
import socket
import time

import numpy as np
import pytest
import zarr

from camjax import dataset
from camjax.dataset import Outcome
from camjax.dataset._hold import Stop
from camjax.dataset._processes import Share
from camjax.dataset._signs import Signs
from tests.dataset.conftest import content, folder_of

COUNT, OPTIONS = 150, {"batch": 8, "chunk": 8}

TOGETHER = """
import json, math, sys, threading
from camjax import dataset
photos, store, port, processes, process, stop = sys.argv[1:]
share = dataset.join(f"localhost:{port}", int(processes), int(process))
from tests.dataset.conftest import network
def tell(progress):
    print(json.dumps([progress.done, progress.total]), flush=True)
    if stop == "sleep" and progress.here >= 16:
        sys.stdin.read()
    if stop == "watch":
        [thread.join() for thread in threading.enumerate() if thread.name == "camjax-signs"]
patience = 2.0 if stop == "watch" else math.inf
done = dataset.run(photos, network(), store, batch=8, chunk=8, patience=patience, progress=tell)
if stop == "watch":
    print("lost", done.lost, done.stopped, done.here)
print("end", tuple(share) == (int(process), int(processes)), done.done == done.total, flush=True)
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    photos = folder_of(tmp_path_factory.mktemp("photos") / "all", COUNT)
    (photos / "0077.jpg").write_bytes(b"damaged")
    return photos


@pytest.fixture(scope="module")
def alone(photos, model, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "run.zarr"
    dataset.run(photos, model, out, **OPTIONS)
    return out


def port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def together(spawn, photos, store, processes, roles=None):
    at, roles = port(), roles or ["work"] * processes
    return [spawn(TOGETHER, photos, store, at, processes, p, role) for p, role in enumerate(roles)]


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_processes_give_the_same_bytes_as_one(spawn, photos, alone, tmp_path, count):
    for process in together(spawn, photos, tmp_path / "run.zarr", count):
        code, out, err = process.end()
        assert code == 0, err
        *told, end = out.splitlines()
        assert end == "end True True"
        assert len(told) in (19 // count, -(-19 // count))  # its share of the chunks
    assert content(tmp_path / "run.zarr") == content(alone)


def test_a_process_that_dies_takes_no_other_with_it_that_has_patience(spawn, photos, alone, model, tmp_path):
    store = tmp_path / "run.zarr"
    victim, other = together(spawn, photos, store, 2, ["sleep", "work"])
    for _ in range(2):
        victim.popen.stdout.readline()
    victim.popen.send_signal(signal.SIGKILL)
    code, out, err = other.end()
    assert (code, out.splitlines()[-1]) == (0, "end True True"), err
    waiting = zarr.open_group(store, mode="r")["outcome"][:] == Outcome.WAITING
    chunks = sorted(set((np.flatnonzero(waiting) // 8).tolist()))
    assert chunks == list(range(4, 19, 2))  # those of process 0 after its second
    assert dataset.run(photos, model, store, **OPTIONS).here == waiting.sum()  # one process does the rest
    assert content(store) == content(alone)


def test_when_a_process_dies_the_others_stop_and_name_it(spawn, photos, alone, model, tmp_path):
    store = tmp_path / "run.zarr"
    victim, other = together(spawn, photos, store, 2, ["sleep", "watch"])
    for _ in range(2):
        victim.popen.stdout.readline()
    victim.popen.send_signal(signal.SIGKILL)
    code, out, err = other.end()
    assert code == 0, err
    lost, end = out.splitlines()[-2:]
    # It finished the chunk that was computed: its first one, if that took longer to compile than the victim lived.
    assert lost in ("lost (0,) True 8", "lost (0,) True 16")
    assert end == "end True False"
    assert [left.name for left in (tmp_path / ".run.zarr.signs").iterdir()] == ["0"]  # which the victim left
    dataset.run(photos, model, store, **OPTIONS)
    assert content(store) == content(alone)
    assert not (tmp_path / ".run.zarr.signs").exists()


def signs(store, outcomes, process=0, patience=2.0):
    stop = Stop()
    return Signs(store, Share(process, 2), patience, 1, lambda: np.asarray(outcomes, np.uint8), stop), stop


def test_who_gives_signs_is_not_lost_nor_who_has_done_his_share(tmp_path):
    waiting, explained = Outcome.WAITING, Outcome.EXPLAINED
    one, stop = signs(tmp_path / "run.zarr", [explained, waiting])
    other, _ = signs(tmp_path / "run.zarr", [explained, waiting], 1)
    with one:
        with other:
            time.sleep(4)
            assert not stop.asked
        one._thread.join()
    assert (one.lost, stop.asked) == ((1,), True)
    done, stop = signs(tmp_path / "run.zarr", [waiting, explained])
    with done:
        time.sleep(4)
    assert (done.lost, stop.asked) == ((), False)


def test_patience_is_some_time(photos, model, tmp_path):
    with pytest.raises(ValueError, match=r"patience: got 0, expected seconds, more than 0\."):
        dataset.run(photos, model, tmp_path / "run.zarr", patience=0, **OPTIONS)


DEVICES = """
import jax, numpy as np, sys
jax.config.update("jax_num_cpu_devices", 8)
from jax.sharding import PartitionSpec as P
from camjax import GradCAM, dataset
from camjax.dataset._program import Program, Question
from camjax.dataset._sharding import Places
from tests.dataset.conftest import network
photos, store, divided = sys.argv[1:]
assert len(jax.devices()) == 8
dataset.run(photos, network(), store, batch=8, chunk=8)
model = network()
host = type(model)(model.apply, jax.tree.map(np.asarray, model.params), model.labels, model.preprocess)
rules = {"stem": P(None, None, None, "model"), "body": P(None, None, "model"), "head": P("model")}
for name, shape in ("stem", (3, 3, 3, 2)), ("body", (3, 3, 2, 6)), ("head", (3, 3)):
    sharding = dataset.Sharding(lambda path, leaf: rules[path], {"model": 2})
    placed = Places.of(None, sharding, 8).put(host.params)
    assert {part.data.shape for part in placed[name].addressable_shards} == {shape}, name
dataset.run(photos, host, divided, batch=8, chunk=8, sharding=sharding)
for wrong in (
    {"batch": 12},
    {"batch": 6, "sharding": sharding},
    {"sharding": dataset.Sharding(lambda path, leaf: P("model"), {"model": 2})},
    {"sharding": dataset.Sharding(lambda path, leaf: "model", {"model": 2})},
    {"sharding": dataset.Sharding(lambda path, leaf: P(*[None] * 4, "model"), {"model": 2})},
    {"sharding": dataset.Sharding(lambda path, leaf: P(), {"model": 3})},
    {"devices": 9},
):
    try:
        dataset.run(photos, host, divided, **{"batch": 8, "chunk": 24, **wrong})
    except ValueError as error:
        print(str(error).splitlines()[0])
"""


def test_eight_devices_give_what_one_gives_with_parameters_in_copies_or_in_parts(spawn, photos, alone, tmp_path):
    code, out, err = spawn(DEVICES, photos, tmp_path / "run.zarr", tmp_path / "divided.zarr").end()
    assert code == 0, err
    said = out.splitlines()
    assert said[0] == "batch: 12 examples cannot be divided evenly among 8 devices; use 16."
    assert said[1] == "batch: 6 examples cannot be divided evenly among 4 parts of 2 devices; use 8."
    assert said[2].startswith("sharding: body [3, 3, 4, 6] cannot be divided as ")
    assert said[3] == "sharding: the rule gives a jax.sharding.PartitionSpec, for body it gave 'model'."
    assert said[4].endswith(" it has more parts than the parameter has axes.")
    assert said[5] == "sharding: 8 devices cannot be arranged as {'model': 3}, or several times so."
    assert said[6] == "devices: got 9, this process has 8."
    one = zarr.open_group(alone, mode="r")
    for store in ("run.zarr", "divided.zarr"):
        eight = zarr.open_group(tmp_path / store, mode="r")
        assert json.dumps(one.attrs.asdict()) == json.dumps(eight.attrs.asdict())
        for name in ("target", "prediction", "status", "outcome", "name", "detail"):
            np.testing.assert_array_equal(one[name][:], eight[name][:])
        for name in ("maps", "score"):
            largest = np.nanmax(np.abs(one[name][:]))
            np.testing.assert_allclose(one[name][:], eight[name][:], rtol=1e-5, atol=1e-5 * largest)
