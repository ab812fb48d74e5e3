"""The training: reproducible from its seed, and what it ships is what it trained."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from camjax.testbed import _network, scenes, train


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_a_few_steps_are_the_same_every_time(monkeypatch, tmp_path, capsys):
    """Once as a function, once from the command line."""
    monkeypatch.setattr(train, "_BULK", 64)
    monkeypatch.setattr(train, "_FOLD", 64)
    params = train.train(seed=5, steps=3)
    assert np.any(params["stage1"]["block0"]["conv2"]["kernel"])  # zero before the first step, by its scale
    file = tmp_path / "weights.npz"
    train.main(["--seed", "5", "--steps", "3", "--out", str(file)])
    assert f"wrote {file}" in capsys.readouterr().out
    train.save(params, tmp_path / "again.npz")
    with np.load(file) as one, np.load(tmp_path / "again.npz") as two:
        same(dict(one), dict(two))


def test_the_training_says_when_optax_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(train.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        train.main([])
    assert "the training needs optax, which is not installed; pip install optax." in capsys.readouterr().err


def test_the_seed_decides_where_the_training_starts():
    first, other = (train.initial(jax.random.key(seed)) for seed in (5, 6))
    assert not np.array_equal(first["stem"]["kernel"], other["stem"]["kernel"])


@pytest.fixture
def trained():
    """Weights as if trained: no scale is zero or one, so that every part of the network matters."""
    params = train.initial(jax.random.key(0))
    keys = iter(jax.random.split(jax.random.key(1), 200))
    return jax.tree.map(lambda leaf: leaf + 0.3 * jax.random.normal(next(keys), leaf.shape), params)


def test_folding_keeps_the_outputs(trained):
    x = _network.preprocess(scenes(0, 8).images)
    folded = train.fold(trained, x)
    normalised = _network.apply(trained, x, conv=train.normalised)
    np.testing.assert_allclose(_network.apply(folded, x), normalised, rtol=2e-4, atol=2e-4)
    assert set(folded["stage2"]["block0"]["conv1"]) == {"kernel", "bias"}


def test_saved_weights_load_again(trained, tmp_path, monkeypatch):
    file = tmp_path / "weights.npz"
    folded = train.fold(trained, _network.preprocess(scenes(0, 4).images))
    train.save(folded, file)
    monkeypatch.setattr(_network.importlib.resources, "files", lambda package: tmp_path)
    same(_network.load(), jax.tree.map(lambda leaf: leaf.astype(jnp.float16).astype(jnp.float32), folded))


def test_the_shipped_weights_have_the_structure_of_trained_ones(trained):
    x = jnp.zeros((1, 64, 64, 3))
    folded = train.fold(trained, x)
    shapes = jax.tree.map(jnp.shape, folded)
    assert shapes == jax.tree.map(jnp.shape, _network.load())


def test_one_step_against_the_gradient_lowers_the_loss(trained):
    drawn = scenes(1, 8)
    value, gradient = jax.value_and_grad(train.loss)(trained, drawn.images, drawn.labels)
    stepped = jax.tree.map(lambda p, g: p - 1e-3 * g, trained, gradient)
    assert train.loss(stepped, drawn.images, drawn.labels) < value


def test_close_ups_show_the_objects_they_are_labelled_with():
    drawn = scenes(2, 60)
    images, labels = train.close_ups(drawn, 0)
    objects = (drawn.classes >= 0).sum()
    assert images.shape == (objects, 32, 32, 3)
    assert labels.shape == (objects, 8)
    assert (labels.sum(1) >= 1).all()  # the object in the middle
    alone = scenes(3, 20, objects=(1, 1))
    _, labels = train.close_ups(alone, 0)
    assert sorted(labels.argmax(1)) == sorted(alone.classes[:, 0])
    assert (labels.sum(1) == 1).all()


def test_batches_are_close_ups_first_then_scenes(monkeypatch):
    monkeypatch.setattr(train, "CLOSE_UPS", 2)
    monkeypatch.setattr(train, "SCENES", 3)
    monkeypatch.setattr(train, "_BULK", 64)
    shapes = [images.shape for images, _ in train.batches(0)]
    assert shapes == [(train.CLOSE_BATCH, 32, 32, 3)] * 2 + [(train.SCENE_BATCH, 64, 64, 3)] * 3
