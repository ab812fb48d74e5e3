"""The shipped network: what it reaches on held-out scenes, and where its Grad-CAM points."""

import functools
import importlib.resources

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

import camjax
from camjax import testbed
from camjax.testbed import train

HELD_OUT = 100_000  # no training scene has this seed


def test_the_weights_are_small():
    file = importlib.resources.files("camjax.testbed") / "weights.npz"
    assert len(file.read_bytes()) < 1_000_000
    model = testbed.model()
    assert {leaf.dtype for leaf in jax.tree.leaves(model.params)} == {jnp.dtype("float32")}
    assert model.labels == testbed.CLASSES
    assert model.preprocess == camjax.Preprocess(size=(64, 64), resize=None, mean=(0.5,) * 3, std=(0.25,) * 3)


def test_held_out_accuracy():
    assert HELD_OUT not in (train.SEED, train.SEED + 1)
    drawn = testbed.scenes(HELD_OUT, 1000, objects=(1, 1))
    logits = jax.jit(testbed.apply)(testbed.model().params, testbed.preprocess(drawn.images))
    right = np.argmax(logits, axis=1) == drawn.classes[:, 0]
    assert right.mean() >= 0.97


def test_held_out_scenes_of_several_objects():
    """Every class in the picture is found, and no other, in most scenes of one to four objects."""
    drawn = testbed.scenes(HELD_OUT + 1, 500)
    logits = jax.jit(testbed.apply)(testbed.model().params, testbed.preprocess(drawn.images))
    assert ((np.asarray(logits) > 0) == drawn.labels).mean() >= 0.97


@functools.cache
def pairs():
    return testbed.scenes(HELD_OUT + 2, 512, objects=(2, 2))


@pytest.mark.parametrize("method", [camjax.GradCAM(), camjax.HiResCAM(), camjax.LayerCAM()], ids=repr)
def test_pointing_game(method):
    """In scenes of two objects, the map's maximum for each one's class lies in its own mask."""
    drawn = pairs()
    model = testbed.model()
    result = camjax.explain(model, testbed.preprocess(drawn.images), drawn.classes[:, :2], method=method)
    assert result.heatmap.shape == (512, 2, 64, 64)
    highest = np.asarray(result.heatmap).reshape(512, 2, -1).argmax(-1)
    masks = drawn.masks[:, :2].reshape(512, 2, -1)
    hits = np.take_along_axis(masks, highest[..., None], axis=-1)
    assert hits.mean() >= 0.9


def test_layers_have_the_names_of_their_scopes():
    layers = camjax.layers(testbed.model(), jnp.zeros((1, 64, 64, 3)))
    names = [layer.name for layer in layers]
    for name in ("stem", "stage1.block0.conv1", "stage2.block0.shortcut", "stage3"):
        assert any(name in (layer.name, *layer.aliases) for layer in layers), names
    assert "stage3" in (layers.default.name, *layers.default.aliases)
    assert layers.default.shape[-3:] == (16, 16, 64)


def test_the_example_picture_made_smaller_shows_the_same_objects():
    """The way of a photo: 256 pixels, made smaller by Pillow, and all four objects are found."""
    small = np.asarray(PIL.Image.fromarray(testbed.picture()).resize((64, 64), PIL.Image.Resampling.BILINEAR))
    logits = testbed.model()(testbed.preprocess(small[None]))
    np.testing.assert_array_equal(np.asarray(logits) > 0, testbed.example().labels)


def test_strides_pad_alike_on_both_sides():
    """Turning the kernels around turns the map around, which "SAME" would break at stride 2."""
    params = {"kernel": jax.random.normal(jax.random.key(0), (3, 3, 2, 4)), "bias": jnp.zeros(4)}
    x = jax.random.normal(jax.random.key(1), (1, 9, 9, 2))
    flipped = train._network.convolution(params | {"kernel": params["kernel"][::-1]}, x[:, ::-1], 2)
    np.testing.assert_allclose(flipped[:, ::-1], train._network.convolution(params, x, 2), atol=1e-5)
