"""What a run stores: the values of `explain`, for every example, in the source's order."""

import json
import re
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zarr

import camjax
from camjax import dataset, images
from camjax.dataset import Outcome
from tests.dataset.conftest import CLASSES, content, folder_of, network, pictures

COUNT = 11


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("photos") / "all", COUNT)


@pytest.fixture(scope="module")
def inputs(photos, model):
    paths = sorted(photos.iterdir())
    return np.stack([images.preprocess(images.load(path), model.preprocess)[0] for path in paths])


@pytest.fixture(scope="module")
def store(photos, model, tmp_path_factory):
    """Two chunks, the second of them and its last batch not full; everything that can be kept."""
    out = tmp_path_factory.mktemp("run") / "run.zarr"
    options = {"target": camjax.targets.top(2), "heatmaps": True, "weights": True, "batch": 4, "chunk": 8}
    done = dataset.run(photos, model, out, **options)
    assert (done.total, done.outcomes, done.here, done.stopped) == (COUNT, {Outcome.EXPLAINED: COUNT}, COUNT, False)
    return out


def test_a_store_has_what_explain_gives(store, inputs, model):
    group = zarr.open_group(store, mode="r")
    expected = camjax.explain(model, inputs, camjax.targets.top(2))
    for name, of in {
        "maps": "raw",
        "score": "score",
        "target": "target",
        "status": "status",
        "weights": "weights",
    }.items():
        np.testing.assert_allclose(group[name][:], getattr(expected, of), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(group["prediction"][:], expected.target[:, 0])
    np.testing.assert_allclose(group["heatmap"][:] / 255, expected.heatmap, atol=0.501 / 255)
    assert group["maps"].shape == (COUNT, 2, 8, 8)
    assert group["outcome"][:].tolist() == [Outcome.EXPLAINED] * COUNT
    assert not group["detail"][:].any()


def test_plain_zarr_reads_a_store_without_camjax_and_jax(store, spawn):
    code = (
        "import json, sys, zarr\n"
        "group = zarr.open_group(sys.argv[1], mode='r')\n"
        "names = [bytes(name).rstrip(b'\\0').decode() for name in group['name'][:]]\n"
        "meanings = group['outcome'].attrs['flag_meanings'].split()\n"
        "about = group.attrs['camjax']\n"
        "print(json.dumps([names, float(group['score'][3, 0]), meanings[group['outcome'][3]], about['format'],\n"
        "    about['question']['layer'], group['maps'].metadata.dimension_names,\n"
        "    [m for m in ('jax', 'camjax', 'tensorstore') if m in sys.modules]]))\n"
    )
    code, out, err = spawn(code, store).end()
    assert code == 0, err
    names, score, outcome, version, layer, axes, modules = json.loads(out)
    assert names == [f"{i:04}.jpg" for i in range(COUNT)]
    assert score == zarr.open_group(store, mode="r")["score"][3, 0]
    assert (outcome, version, layer, axes) == ("explained", 1, ["features"], ["example", "k", "y", "x"])
    assert modules == []


def test_the_same_command_again_does_nothing_and_every_run_gives_the_same_bytes(
    store, photos, model, tmp_path, monkeypatch
):
    compiled, compile = [], jax.stages.Lowered.compile
    monkeypatch.setattr(jax.stages.Lowered, "compile", lambda *args: compiled.append(0) or compile(*args))
    options = {"target": camjax.targets.top(2), "heatmaps": True, "weights": True, "batch": 4, "chunk": 8}
    before = content(store)
    assert dataset.run(photos, model, store, **options).here == 0
    assert content(store) == before
    assert len(compiled) == 0
    dataset.run(photos, model, tmp_path / "run.zarr", **options, threads=1)
    assert content(tmp_path / "run.zarr") == before
    assert len(compiled) == 1  # one program, the last and shorter batch's too


OTHERS = {
    "another model": ({"model": network(1)}, "the model's parameters are others"),
    "another layer": ({"layer": "stem"}, r"question.layer: \['features'\] in the store, now \['stem'\]"),
    "another method": ({"method": camjax.HiResCAM()}, r"question.method: GradCAM\(\) in the store, now HiResCAM\(\)"),
    "another target": ({"target": "red"}, r"question.target: Top\(k=2\) in the store, now red"),
    "another source": ({"source": pictures(COUNT)}, "source.kind: folder in the store, now arrays"),
    "another batch": ({"batch": 8}, "batch: 4 in the store, now 8"),
    "another crop": ({"preprocess": camjax.Preprocess((16, 16), 18)}, "preprocess.resize: None in the store, now 18"),
}


@pytest.mark.parametrize(("changed", "message"), OTHERS.values(), ids=OTHERS)
def test_a_store_is_not_continued_by_another_run(changed, message, store, photos, model):
    options = {"target": camjax.targets.top(2), "heatmaps": True, "weights": True, "batch": 4, "chunk": 8}
    options = {"source": photos, "model": model, **options, **changed}
    before = content(store)
    with pytest.raises(ValueError, match=rf"run.zarr: is the store of another run; .*{message}"):
        dataset.run(out=store, **options)
    assert content(store) == before


def test_another_network_with_the_same_parameters_is_another_model(store, photos, model):
    other = camjax.Model(lambda w, x: 2 * model.apply(w, x), model.params, model.labels, model.preprocess)
    with pytest.raises(ValueError, match="the model computes something else"):
        dataset.run(photos, other, store, target=camjax.targets.top(2), heatmaps=True, weights=True, batch=4, chunk=8)


def test_each_examples_own_label(tmp_path, model):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 16, 16, 3)).astype(np.float32)
    labels = np.array(["blue", "red", "green", "red", "red"])
    np.savez(tmp_path / "x.npz", x=x, y=labels)
    dataset.run(tmp_path / "x.npz", model, tmp_path / "run.zarr", target="label", batch=4)
    group = zarr.open_group(tmp_path / "run.zarr", mode="r")
    index = [CLASSES.index(label) for label in labels]
    assert group["label"][:].tolist() == group["target"][:, 0].tolist() == index
    expected = camjax.explain(model, x, np.array(index))
    np.testing.assert_allclose(group["maps"][:, 0], expected.raw, rtol=1e-5, atol=1e-6)
    assert group["prediction"][:].tolist() == model(x).argmax(1).tolist()
    assert group.attrs["camjax"]["preprocess"] is None


def test_labels_that_are_no_classes(tmp_path, model):
    np.savez(tmp_path / "x.npz", images=pictures(2), labels=["red", "mauve"])
    with pytest.raises(ValueError, match=r"target: 'label', but 'mauve' is no class of the model"):
        dataset.run(tmp_path / "x.npz", model, tmp_path / "run.zarr", target="label")
    with pytest.raises(ValueError, match=r"the source has no labels; give a class"):
        dataset.run(pictures(2), model, tmp_path / "run.zarr", target="label")
    records = [(picture, label) for picture, label in zip(pictures(3), ("red", "mauve", None), strict=True)]
    done = dataset.run(records, model, tmp_path / "run.zarr", target="label", batch=4)
    assert done.outcomes == {Outcome.EXPLAINED: 1, Outcome.LABEL: 2}
    group = zarr.open_group(tmp_path / "run.zarr", mode="r")
    assert [bytes(text).rstrip(b"\0") for text in group["detail"][1:]] == [
        b"its label 'mauve' is no class of the model.",
        b"has no label.",
    ]


def test_half_precision_keeps_maps_of_any_size():
    """To 11 bits of each map's largest value, where half precision alone ends at 65504 and at 6e-8."""
    from camjax.dataset._program import _halved

    raw = np.random.default_rng(0).normal(size=(6, 2, 5, 7)).astype(np.float32)
    raw *= np.float32(10) ** np.arange(-30, 30, 5, np.float32).reshape(6, 2, 1, 1)
    raw[5, 0], raw[5, 1, 0, 0] = 0, np.nan
    halves, scale = map(np.asarray, _halved(jnp.asarray(raw)))
    assert (halves.dtype, scale.dtype) == (np.float16, np.float32)
    assert (np.frexp(scale)[0] == 0.5).all()  # a power of two
    largest = np.abs(raw[:5]).max((2, 3), keepdims=True)
    assert (np.abs(halves[:5] * scale[:5, :, None, None] - raw[:5]) / largest).max() < 2**-11
    assert not halves[5, 0].any()
    assert np.isnan(halves[5, 1, 0, 0])


def test_noise_depends_on_the_seed_and_the_index_alone(tmp_path, model):
    x = np.repeat(np.random.default_rng(0).normal(size=(1, 16, 16, 3)).astype(np.float32), 5, 0)
    for batch in (2, 5):
        dataset.run(x, model, tmp_path / f"{batch}.zarr", method=camjax.RandomCAM(), seed=3, batch=batch)
    two, five = (zarr.open_group(tmp_path / f"{batch}.zarr", mode="r")["maps"][:] for batch in (2, 5))
    np.testing.assert_allclose(two, five, rtol=1e-5, atol=1e-6)
    assert not np.allclose(two[0], two[1])


def test_the_prediction_costs_no_second_pass(model):
    from camjax.dataset._program import Program, Question

    example = jax.ShapeDtypeStruct((16, 16, 3), np.float32)
    program = Program(model, example, Question(camjax.GradCAM(), target=1), 4)
    explained = camjax.explainer(model, jax.ShapeDtypeStruct((1, 16, 16, 3), np.float32), size=None)
    alone = jax.jit(lambda model, x: explained(model, x, 1)).lower(model, jnp.zeros((4, 16, 16, 3))).compile()
    assert program.compiled.cost_analysis()["flops"] < 1.02 * alone.cost_analysis()["flops"]


def test_a_model_without_class_scores_predicts_none(tmp_path):
    def apply(params, x):
        with jax.named_scope("features"):
            x = jax.nn.relu(
                jax.lax.conv_general_dilated(x, params, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            )
        return {"a": x.mean((1, 2)), "b": x.max((1, 2))}

    model = camjax.Model(apply, jnp.ones((3, 3, 3, 2)))
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 3)).astype(np.float32)
    dataset.run(x, model, tmp_path / "run.zarr", target=lambda outputs: outputs["a"][0], layer="features", batch=2)
    group = zarr.open_group(tmp_path / "run.zarr", mode="r")
    assert group["prediction"][:].tolist() == group["target"][:, 0].tolist() == [-1, -1, -1]


WRONG = {
    "dtype": ({"dtype": "int8"}, r"dtype: got 'int8', expected 'float32' or 'float16'"),
    "chunk": ({"batch": 4, "chunk": 6}, r"chunk: got 6, expected a multiple of batch = 4"),
    "preprocess": ({"preprocess": camjax.Preprocess((16, 16), 12)}, r"size 16x16 does not fit in the picture resized"),
    "layer": ({"layer": "feature"}, r"layer: .*'feature'.*'features'"),
    "target": ({"target": "mauve"}, r"target: no class is called 'mauve'"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments_leave_no_store(options, message, model, tmp_path):
    with pytest.raises(ValueError, match=message):
        dataset.run(pictures(3), model, tmp_path / "run.zarr", **options)
    assert list(tmp_path.iterdir()) == []


def test_something_else_is_not_overwritten(model, tmp_path):
    (tmp_path / "zarr.json").write_text("{}")
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}: is no store of camjax run")):
        dataset.run(pictures(3), model, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"file: is no store of camjax run"):
        dataset.run(pictures(3), model, tmp_path / "file")
    (tmp_path / "zarr.json").write_text(json.dumps({"attributes": {"camjax": {"format": 99}}}))
    with pytest.raises(ValueError, match="has format 99, this camjax reads format 1"):
        dataset.run(pictures(3), model, tmp_path)


@pytest.mark.slow  # each process imports jax
def test_worker_processes_give_the_same_bytes(model, photos, tmp_path):
    options = {"batch": 4, "chunk": 8}
    dataset.run(photos, model, tmp_path / "a.zarr", **options)
    dataset.run(photos, model, tmp_path / "b.zarr", **options, workers=2, threads=1)
    assert content(tmp_path / "a.zarr") == content(tmp_path / "b.zarr")


def test_no_batch_of_the_next_chunk_is_looked_at_before_a_chunk_is_written(photos, model, tmp_path, monkeypatch):
    """So that a kill costs one chunk and what is being computed."""
    from camjax.dataset._chunk import Chunk
    from camjax.dataset._writer import Writer

    order, commit, fill = [], Writer.commit, Chunk.fill

    def slowly(self, start, values):
        time.sleep(0.2)
        commit(self, start, values)
        order.append(("written", start))

    def filled(self, batch, *rest):
        order.append(("filled", self.start))
        return fill(self, batch, *rest)

    monkeypatch.setattr(Writer, "commit", slowly)
    monkeypatch.setattr(Chunk, "fill", filled)
    dataset.run(photos, model, tmp_path / "run.zarr", batch=4, chunk=4)
    assert order == [(what, start) for start in (0, 4, 8) for what in ("filled", "written")]
