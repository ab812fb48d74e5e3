"""A store is read back as explanations, by index, name and class, and summed up class by class."""

import numpy as np
import pytest

import camjax
from camjax import dataset, images
from camjax.dataset import Outcome
from tests.dataset.conftest import CLASSES, folder_of, pictures

COUNT = 21


@pytest.fixture(scope="module")
def place(tmp_path_factory, model):
    """Three chunks; one file is damaged, and one name is not ASCII."""
    root = tmp_path_factory.mktemp("open")
    photos = folder_of(root / "photos", COUNT)
    (photos / "0005.jpg").write_bytes(b"")
    (photos / "0007.jpg").rename(photos / "0007 Flügel.jpg")
    dataset.run(photos, model, root / "run.zarr", heatmaps=True, weights=True, dtype="float16", batch=4, chunk=8)
    return root


@pytest.fixture(scope="module")
def store(place):
    return dataset.open(place / "run.zarr")


@pytest.fixture(scope="module")
def expected(place, model):
    x = np.stack([images.preprocess(image, model.preprocess)[0] for image in map(images.load, good(place))])
    return camjax.explain(model, x, camjax.targets.top(1))


def good(place):
    return [path for path in sorted((place / "photos").iterdir()) if path.name != "0005.jpg"]


def test_one_example_by_index_and_by_name(store, expected):
    assert len(store) == COUNT
    by_index, by_name = store[7], store["0007 Flügel.jpg"]
    for one, other in zip(by_index, by_name, strict=True):
        np.testing.assert_array_equal(one, other)
    assert isinstance(by_index, camjax.Explanation)
    np.testing.assert_allclose(by_index.raw, expected.raw[6], atol=2e-3 * np.abs(expected.raw[6]).max())
    np.testing.assert_allclose(by_index.heatmap, expected.heatmap[6], atol=0.501 / 255)
    np.testing.assert_allclose(by_index.weights, expected.weights[6], rtol=1e-5)
    assert by_index.target.shape == by_index.score.shape == (1,)


def test_several_examples(store, expected):
    some = store[[20, 0, 9]]
    np.testing.assert_allclose(some.score, expected.score[np.array([19, 0, 8])], rtol=1e-5)
    assert store[-3:].raw.shape == (3, 1, 8, 8)
    np.testing.assert_array_equal(store[18:].score, store[-3:].score)


def test_what_failed_is_nan_and_says_why(store):
    assert np.isnan(store[5].raw).all()
    assert store.outcome(5) == (Outcome.EMPTY, "the file is empty (0 bytes); copy or download it again.")
    assert store.outcome(6) == (Outcome.EXPLAINED, "")
    assert list(store.failures()) == [(5, "0005.jpg", *store.outcome(5))]
    assert store.progress().outcomes == {Outcome.EXPLAINED: COUNT - 1, Outcome.EMPTY: 1}
    assert not store.running


def test_classes(store, expected):
    predicted = np.insert(np.asarray(expected.target[:, 0]), 5, -1)
    for index, name in enumerate(CLASSES):
        np.testing.assert_array_equal(store.of_class(name), np.flatnonzero(predicted == index))
        np.testing.assert_array_equal(store.of_class(index, by="target"), store.of_class(name))
    assert store.labels == CLASSES


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda s: s["0009"], KeyError, "'0009': run.zarr has no example of this name"),
        (lambda s: s["x" * 99], KeyError, "has no example of this name"),
        (lambda s: s[COUNT], IndexError, "21 is out of bounds"),
        (lambda s: s.of_class("mauve"), ValueError, "no class is called 'mauve'"),
        (lambda s: s.of_class(0, by="label"), ValueError, "by: got 'label', expected one of prediction, target"),
    ],
)
def test_what_is_not_there(store, ask, error, message):
    with pytest.raises(error, match=message):
        ask(store)


def test_statistics_of_chunks_are_those_of_the_whole(store, expected):
    found = dataset.statistics(store)
    predicted, score = np.asarray(expected.target[:, 0]), np.asarray(expected.score[:, 0], np.float64)
    maps = np.maximum(np.asarray(expected.raw[:, 0]), 0)
    maps = maps / np.where(maps.max((1, 2), keepdims=True) > 0, maps.max((1, 2), keepdims=True), 1)
    assert found.classes.tolist() == sorted(set(predicted.tolist()))
    for row, index in enumerate(found.classes):
        own = predicted == index
        assert found.examples[row] == own.sum()
        np.testing.assert_allclose(found.map[row], maps[own].mean(0), atol=2e-3)
        np.testing.assert_allclose(found.score[row], score[own].mean(), rtol=1e-5)
        np.testing.assert_allclose(found.deviation[row], score[own].std(), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(found.lowest[row], score[own].min(), rtol=1e-5)
        np.testing.assert_allclose(found.highest[row], score[own].max(), rtol=1e-5)


def test_examples_without_names_have_numbers(tmp_path, model):
    dataset.run(pictures(3), model, tmp_path / "run.zarr", batch=3)
    store = dataset.open(tmp_path / "run.zarr")
    np.testing.assert_array_equal(store["2"].score, store[2].score)
    with pytest.raises(KeyError, match=r"the examples of run.zarr have numbers only, to 2"):
        store["first"]


def test_no_store(tmp_path):
    with pytest.raises(ValueError, match="x: there is no store"):
        dataset.open(tmp_path / "x")
    with pytest.raises(ValueError, match="is no store of camjax run"):
        dataset.open(tmp_path)
