"""Grad-CAM, with no option set, on a trained vision transformer: it points to the object that is asked for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import camjax
from camjax import testbed
from camjax.testbed.train import save
from tests.attention import METHODS, Together
from tests.testbed import train_transformer, transformer

HELD_OUT = 100_000  # no training scene has this seed


def test_the_weights_are_small_and_the_modules():
    assert transformer.WEIGHTS.stat().st_size <= 400_000
    shapes = jax.eval_shape(transformer.Transformer().init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))
    assert jax.tree.map(jnp.shape, transformer.load()) == jax.tree.map(jnp.shape, shapes)


def test_held_out_accuracy():
    assert HELD_OUT != train_transformer.SEED
    drawn = testbed.scenes(HELD_OUT, 400, objects=(1, 1))
    logits = jax.jit(lambda model, x: model(x))(transformer.model(), testbed.preprocess(drawn.images))
    assert (np.argmax(logits, axis=1) == drawn.classes[:, 0]).mean() >= 0.95


@functools.cache
def pairs():
    return testbed.scenes(HELD_OUT + 2, 256, objects=(2, 2))


def hits(heatmaps, drawn):
    """Whether the highest pixel of each object's map, `[n, 2, 64, 64]`, lies in its own mask."""
    n = len(heatmaps)
    highest = np.asarray(heatmaps).reshape(n, 2, -1).argmax(-1)
    return np.take_along_axis(drawn.masks[:n, :2].reshape(n, 2, -1), highest[..., None], -1)


def test_gradcam_points_to_the_right_object_as_often_as_in_a_convolutional_network():
    drawn = pairs()
    x, asked = testbed.preprocess(drawn.images), drawn.classes[:, :2]
    own, other = (
        hits(camjax.explain(model, x, asked).heatmap, drawn).mean() for model in (transformer.model(), testbed.model())
    )
    assert own >= other - 0.05, (own, other)


def test_the_tokens_and_the_default_layer_are_found():
    found = camjax.layers(transformer.model(), jnp.zeros((1, 64, 64, 3)))
    assert found.default.name == "norm"
    for name in ("block0.norm1", "block1.attention", "norm"):
        axes = found[name].axes
        assert (axes.grid, axes.channels, axes.start[1]) == ((16, 16), 64, 0)


def test_the_methods_of_attention_explain_its_tokens():
    x, asked = testbed.preprocess(pairs().images[:8]), pairs().classes[:8, :2]
    raw = np.asarray(camjax.explain(transformer.model(), x, asked, method=Together(), size=None).raw)
    maps = dict(zip(METHODS, np.split(raw, len(METHODS), axis=2), strict=True))
    for method, heat in maps.items():
        assert heat.shape == (8, 2, 16, 16)
        assert np.isfinite(heat).all()
        differ = np.abs(heat[:, 0] - heat[:, 1]).max() > 1e-3 * np.abs(heat).max()
        assert differ == (not isinstance(method, camjax.AttentionRollout)), method  # which asks for no class


RECORD = (5.768697, 5.608808, 4.840507)  # the losses of the first batches, with seed 2026


def test_a_few_steps_are_the_same_every_time_and_those_of_the_record(monkeypatch, tmp_path):
    monkeypatch.setattr(train_transformer, "_BULK", 64)
    (one, losses), (two, _) = (train_transformer.train(steps=3) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, one, two)
    np.testing.assert_allclose(losses, RECORD, rtol=1e-4)
    monkeypatch.setattr(transformer, "WEIGHTS", tmp_path / "weights.npz")
    save(one, transformer.WEIGHTS)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.float16).astype(jnp.float32), one)
    jax.tree.map(np.testing.assert_array_equal, transformer.load(), half)
