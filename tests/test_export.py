"""A model and its explanation as one file: any batch, another process, no framework."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import testbed
from tests import models


@pytest.fixture(scope="module")
def model():
    return camjax.Model(models.model(models.POOLED).apply, models.params(), labels=("a", "b", "c", "d"))


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("export") / "model.camjax"
    camjax.export(model, models.pictures(1), path, classes=2, layer=models.POOLED)
    return path


def test_the_file_explains_any_batch_as_the_model_does(model, path):
    exported = camjax.load_exported(path)
    assert (exported.labels, exported.method, exported.classes) == (model.labels, "GradCAM", 2)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    for batch in (1, 3):
        x = models.pictures(batch)
        want = camjax.explain(model, x, ["b", "d"], layer=models.POOLED)
        got = exported(x, ["b", "d"])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, want)


def test_random_methods_and_half_precision_are_exported(tmp_path):
    smoothing = camjax.Smoothing(noise=0.3, samples=2)
    params = jax.tree.map(lambda a: a.astype(jnp.bfloat16), models.params())
    model, x = camjax.Model(models.model(models.POOLED).apply, params), models.pictures(2).astype(jnp.bfloat16)
    options = {"layer": models.POOLED, "smoothing": smoothing, "size": None}
    camjax.export(model, x, tmp_path / "noisy", platforms=("cpu",), **options)
    key, ids = jax.random.key(3), np.array([8, 5])
    got = camjax.load_exported(tmp_path / "noisy")(x, [1, 0], ids=ids, key=key)
    want = camjax.explain(model, x, [1, 0], ids=ids, key=key, **options)
    np.testing.assert_allclose(got.raw[:, 0], want.raw, rtol=2e-2, atol=2e-2 * np.abs(want.raw).max())
    assert got.heatmap is None


def test_another_process_without_frameworks_runs_it(tmp_path):
    path = tmp_path / "testbed.camjax"
    with jax.numpy_rank_promotion("allow"):  # the testbed's network adds biases in the ordinary way
        model, x = testbed.model(), np.asarray(testbed.preprocess(testbed.scenes(5, 1).images))
        camjax.export(model, x, path, platforms=("cpu",))
        want = camjax.explain(model, x, "star", size=None).raw[0].argmax()
    code = (
        "import sys\n"
        "for name in ('flax', 'torch', 'keras', 'equinox', 'haiku', 'camjax.testbed'): sys.modules[name] = None\n"
        "import camjax, numpy as np\n"
        f"exported = camjax.load_exported({str(path)!r})\n"
        "x = np.load(sys.argv[1])\n"
        "print(exported(x, 'star').raw[0, 0].argmax(), exported.preprocess.size)"
    )
    np.save(tmp_path / "x.npy", x)
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x.npy"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{want} (64, 64)"


def test_what_does_not_fit_is_refused_in_words(path, tmp_path, monkeypatch):
    exported, x = camjax.load_exported(path), models.pictures(2)
    with pytest.raises(
        ValueError, match="target: 1 classes per example, but this file was exported for 2; export it again"
    ):
        exported(x, "a")
    with pytest.raises(ValueError, match="'cat'"):
        exported(x, ["a", "cat"])
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist"):
        camjax.load_exported(tmp_path / "nowhere")
    (tmp_path / "text").write_text("no file of ours")
    with pytest.raises(ValueError, match=r"text is no file that camjax.export wrote"):
        camjax.load_exported(tmp_path / "text")
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(ImportError, match=r"camjax.export needs flatbuffers: pip install 'camjax\[export\]'"):
        camjax.export(models.model(), x, tmp_path / "out", layer=models.POOLED)
