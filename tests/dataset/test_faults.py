"""What can go wrong with files, disks and models: a row with its reason, or one message; never a lost example."""

import errno
import os
import resource
import signal

import jax.numpy as jnp
import numpy as np
import pytest
import zarr

import camjax
from camjax import dataset
from camjax.dataset import Outcome
from tests.dataset import damage
from tests.dataset.conftest import content, folder_of, network, pictures


def rows(store):
    """(name, outcome, reason) of each example."""
    group = zarr.open_group(store, mode="r")

    def texts(name):
        return [bytes(text).rstrip(b"\0").decode() for text in group[name][:]]

    return list(zip(texts("name"), map(Outcome, group["outcome"][:]), texts("detail"), strict=True))


def test_every_damaged_file_is_a_row_with_its_reason_and_no_other_is(tmp_path, model):
    kinds = damage.content(pictures(1, size=64)[0])
    special = damage.files(tmp_path)
    assert len(kinds) + len(special) >= 20
    count = 10 * (len(kinds) + len(special))
    photos = folder_of(tmp_path / "photos", count)
    expected = {}
    for number, (kind, (what, outcome)) in enumerate({**kinds, **special}.items()):
        path = photos / f"{10 * number + 3:04}.jpg"
        if isinstance(what, bytes):
            path.write_bytes(what)
        else:
            what(path)
        expected[path.name] = (kind, outcome)
    done = dataset.run(photos, model, tmp_path / "run.zarr", batch=16, chunk=48)
    assert (done.done, done.failed) == (count, len(expected))
    found = {name: (outcome, reason) for name, outcome, reason in rows(tmp_path / "run.zarr")}
    got = {expected[name][0]: found[name] for name in expected}
    assert {kind: outcome for kind, (outcome, _) in got.items()} == dict(expected.values())
    assert all(reason.endswith(".") for _, reason in got.values()), got
    assert {name for name, (outcome, _) in found.items() if outcome is not Outcome.EXPLAINED} == set(expected)
    assert all(not reason for name, (_, reason) in found.items() if name not in expected)
    # What is stored for the others is what it would be without them.
    clean = folder_of(tmp_path / "clean", count)
    dataset.run(clean, model, tmp_path / "clean.zarr", batch=16, chunk=48)
    both = [zarr.open_group(tmp_path / name, mode="r") for name in ("run.zarr", "clean.zarr")]
    good = both[0]["outcome"][:] == Outcome.EXPLAINED
    for name in ("maps", "score", "target", "prediction", "status"):
        np.testing.assert_array_equal(both[0][name][:][good], both[1][name][:][good])
    assert np.isnan(both[0]["maps"][:][~good]).all()
    assert (both[0]["prediction"][:][~good] == -1).all()


def test_a_picture_deleted_during_the_run_is_missing(tmp_path, model):
    photos = folder_of(tmp_path / "photos", 64)

    def delete(progress):
        (photos / "0063.jpg").unlink(missing_ok=True)

    done = dataset.run(photos, model, tmp_path / "run.zarr", batch=4, chunk=4, threads=1, progress=delete)
    assert done.outcomes == {Outcome.EXPLAINED: 63, Outcome.MISSING: 1}
    assert rows(tmp_path / "run.zarr")[63] == (
        "0063.jpg",
        Outcome.MISSING,
        "no such file; it was there when the run began.",
    )


def test_a_run_continues_without_the_pictures_that_are_gone_meanwhile(tmp_path, model):
    photos = folder_of(tmp_path / "photos", 24)

    def kill(progress):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        dataset.run(photos, model, tmp_path / "run.zarr", batch=4, chunk=4, progress=kill)
    for name in ("0002.jpg", "0009.jpg", "0023.jpg"):
        (photos / name).unlink()
    done = dataset.run(photos, model, tmp_path / "run.zarr", batch=4, chunk=4)
    assert (done.here, done.outcomes) == (20, {Outcome.EXPLAINED: 22, Outcome.MISSING: 2})
    missing = [name for name, outcome, _ in rows(tmp_path / "run.zarr") if outcome is Outcome.MISSING]
    assert missing == ["0009.jpg", "0023.jpg"]
    (photos / "0009.jpg").write_bytes(b"another picture")
    with pytest.raises(ValueError, match="the source's names, sizes or contents are others"):
        dataset.run(photos, model, tmp_path / "run.zarr", batch=4, chunk=4)


def test_strict_stops_at_the_first_and_keeps_what_was_before(tmp_path, model):
    photos = folder_of(tmp_path / "photos", 20)
    for name in ("0013.jpg", "0018.jpg"):
        (photos / name).write_bytes(b"")
    with pytest.raises(dataset.StrictError, match=r"^0013.jpg \(number 13\): the file is empty \(0 bytes\)"):
        dataset.run(photos, model, tmp_path / "run.zarr", batch=4, chunk=4, strict=True)
    waiting = zarr.open_group(tmp_path / "run.zarr", mode="r")["outcome"][:] == Outcome.WAITING
    assert waiting.tolist() == [False] * 12 + [True] * 8
    assert dataset.run(photos, model, tmp_path / "run.zarr", batch=4, chunk=4).failed == 2


def test_what_the_model_makes_of_an_example_is_a_reason_too(tmp_path, model):
    x = np.random.default_rng(0).normal(size=(5, 16, 16, 3)).astype(np.float32)
    x[1, 0, 0, 0], x[3] = np.nan, np.inf
    np.savez(tmp_path / "x.npz", x=x, y=[0, 1, 2, 0, 7])
    dataset.run(tmp_path / "x.npz", model, tmp_path / "run.zarr", target="label", batch=4)
    group = zarr.open_group(tmp_path / "run.zarr", mode="r")
    good, nan, bad = Outcome.EXPLAINED, Outcome.NON_FINITE, Outcome.BAD_TARGET
    assert group["outcome"][:].tolist() == [good, nan, good, nan, bad]
    assert bytes(group["detail"][4]).rstrip(b"\0") == b"the model has no such class."
    assert group["status"][1, 0] == camjax.Status.NON_FINITE
    flat = camjax.Model(model.apply, {**model.params, "head": jnp.zeros((6, 3))}, model.labels)
    done = dataset.run(x[:1], flat, tmp_path / "flat.zarr", batch=2)
    assert done.outcomes == {Outcome.ZERO_GRADIENT: 1}


def test_a_method_that_does_not_apply_says_why_in_each_row(tmp_path, model):
    x = np.zeros((2, 16, 16, 3), np.float32) + 0.1
    done = dataset.run(x, model, tmp_path / "run.zarr", method=camjax.CAM(), layer="stem", batch=2)
    assert done.outcomes == {Outcome.NOT_APPLICABLE: 2}
    detail = bytes(zarr.open_group(tmp_path / "run.zarr", mode="r")["detail"][0]).rstrip(b"\0").decode()
    assert detail == f"CAM: {camjax.CAM.refusal}"[: len(detail)]
    assert len(detail) > 40


def test_inputs_of_another_shape(tmp_path, model):
    records = [np.zeros(shape, np.float32) for shape in ((16, 16, 3), (16, 17, 3), (16, 16, 1))]
    done = dataset.run(records, model, tmp_path / "run.zarr", target=1, batch=3)
    assert done.outcomes[Outcome.SHAPE] == 2
    detail = zarr.open_group(tmp_path / "run.zarr", mode="r")["detail"][1]
    assert bytes(detail).rstrip(b"\0") == b"has the shape [16, 17, 3], the model's input has [16, 16, 3]."


def test_a_disk_that_is_full_ends_the_run_and_loses_nothing(tmp_path, model):
    """The system's own refusal to make a file larger stands for a full disk: both end a write in the middle."""
    photos = folder_of(tmp_path / "photos", 40)
    options = {"batch": 8, "chunk": 8, "heatmaps": True}
    dataset.run(photos, model, tmp_path / "whole.zarr", **options)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def full(progress):
        if progress.done == 16:
            resource.setrlimit(resource.RLIMIT_FSIZE, (512, before[1]))

    try:
        with pytest.raises(OSError, match=r"File too large: '.*run.zarr'") as caught:
            dataset.run(photos, model, tmp_path / "run.zarr", **options, progress=full)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
    assert (zarr.open_group(tmp_path / "run.zarr", mode="r")["outcome"][:] == Outcome.EXPLAINED).sum() == 16
    assert dataset.run(photos, model, tmp_path / "run.zarr", **options).here == 24
    assert content(tmp_path / "run.zarr") == content(tmp_path / "whole.zarr")


def test_a_place_that_cannot_be_written_is_told_before_anything_runs(tmp_path, monkeypatch):
    with pytest.raises(OSError, match="/proc/self") as caught:
        dataset.run(pictures(2), network(), "/proc/self/run.zarr")
    assert caught.value.errno in (errno.EACCES, errno.EROFS, errno.ENOENT, errno.EPERM)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        dataset.run(pictures(2), network(), tmp_path / "file" / "run.zarr")
    assert os.listdir(tmp_path) == ["file"]
