"""Names for channels: against a literal loop, whatever the chunks, and on the testbed against what is true."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import neurons, testbed
from camjax.testing import oracles

IDENTITY = camjax.Split(lambda p, x: (x, None), lambda p, A, rest: A.mean((1, 2)))
MODEL = camjax.Model(lambda p, x: x.mean((1, 2)), None)
CONCEPTS = ("left", "top", "nowhere")


def pictures(count=7, size=5, channels=4, dtype=np.float32):
    """Random maps, the channels of which are half zero, all zero but once, and constant."""
    A = np.random.default_rng(0).normal(size=(count, size, size, channels)).astype(dtype)
    A[..., 1] = np.maximum(A[..., 1], 0)
    A[..., 2] = 0
    A[2, 3, 1, 2] = 1
    A[..., 3] = -2
    return A


def masks(count=7, size=12):
    there = np.zeros((count, 3, size, size), bool)
    there[:, 0, :, : size // 3] = True
    there[::2, 1, : size // 2] = True
    return there


def dissect(x=None, there=None, concepts=CONCEPTS, **options):
    x, there = pictures() if x is None else x, masks() if there is None else there
    return neurons.dissect(MODEL, x, there, concepts, **{"layer": IDENTITY, "quantile": 0.1, **options})


@pytest.mark.parametrize("size", [5, 12])
def test_thresholds_and_overlaps_are_the_papers(size):
    with jax.enable_x64(True):
        A = pictures(dtype=np.float64)
        found = dissect(A, masks(size=size))
    assert found.thresholds.dtype == np.float64
    assert found.thresholds.tolist() == [oracles.neurons.threshold(A[..., k], 0.1) for k in range(4)]
    np.testing.assert_allclose(found.iou, oracles.neurons.iou(A, masks(size=size), 0.1), rtol=1e-12)
    assert found.iou[3].tolist() == [0, 0, 0]  # a constant channel is active nowhere, and no name fits it
    assert found.names[3] is None


def test_the_result_is_the_same_for_any_chunk_and_for_memory_maps(tmp_path):
    expected = dissect(batch=7)
    np.save(tmp_path / "x.npy", pictures())
    for batch, x in ((1, pictures()), (3, np.load(tmp_path / "x.npy", mmap_mode="r")), (100, jnp.asarray(pictures()))):
        got = dissect(x, batch=batch)
        np.testing.assert_array_equal(got.iou, expected.iou)
        np.testing.assert_array_equal(got.thresholds, expected.thresholds)


def test_a_channel_that_paints_a_concept_is_named_after_it():
    there = np.random.default_rng(1).random((20, 2, 6, 6)) < 0.004
    x = np.stack([there[:, 1], there[:, 0], ~there[:, 0]], -1).astype(np.float32)
    found = dissect(x, there, ("dot", "dash"), quantile=0.01)
    assert found.iou[[0, 1], [1, 0]].tolist() == [1, 1]
    assert found.names == ("dash", "dot", None)
    assert found.best[2] == "dot"  # the closest, however far
    assert found.channels("dash") == (0,)
    assert repr(found).splitlines() == [
        "2 of 3 channels have a name (IoU > 0.04)",
        "  dot: 1 (1.00)",
        "  dash: 0 (1.00)",
    ]


def test_a_name_that_is_misspelt_is_refused_with_the_closest():
    text = "name: no concept is called 'lefft'; did you mean 'left'? There are 3."
    with pytest.raises(ValueError, match=re.escape(text)):
        dissect().channels("lefft")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"there": masks()[:0]}, ["masks: got shape [0, 3, 12, 12]", "[7, 3, size, size]", "any resolution"]),
        ({"there": masks()[0]}, ["masks: got shape [3, 12, 12]", "bool of shape [7, 3, size, size]"]),
        ({"there": np.moveaxis(masks(), 1, -1)}, ["masks: got shape [7, 12, 12, 3]", "pictures, concepts, space"]),
        ({"there": masks()[..., 0]}, ["masks: got shape [7, 3, 12]", "size, size"]),
        ({"there": masks().astype(np.float32)}, ["masks: got float32", "masks > 0.5"]),
        ({"there": np.zeros_like(masks())}, ["no concept is anywhere", "every mask is empty"]),
        ({"there": [True]}, ["masks: got list", "expected an array"]),
        ({"there": np.broadcast_to(True, (7, 3, 4096, 4096))}, ["[4096, 4096]", "a lower resolution"]),
        ({"concepts": ("left", "top", "top")}, ["concepts: got 'top' twice", "all different"]),
        ({"concepts": ("left", "top", 3)}, ["concepts: got 3", "the concepts' names"]),
        ({"concepts": ()}, ["concepts: got none"]),
        ({"concepts": ("left", "top")}, ["masks: got shape [7, 3, 12, 12]", "[7, 2, size, size]"]),
        ({"x": pictures() * np.nan}, ["layer of the Split", "not finite", "NaN in x"]),
        ({"x": "pictures"}, ["x: expected an array", "str"]),
        ({"quantile": 0.005}, ["x: 7 pictures have 175 positions", "at least 8 pictures", "larger quantile"]),
        ({"quantile": 5}, ["quantile: got 5", "between 0 and 1"]),
        ({"least": 0}, ["least: got 0", "between 0 and 1"]),
        ({"batch": 0}, ["batch: got 0", "a positive int"]),
        ({"layer": ["a", "b"]}, ["layer", "['a', 'b']", "name one layer"]),
    ],
)
def test_dissect_refuses_in_words(change, words):
    with pytest.raises(ValueError, match="(?s)" + ".*".join(map(re.escape, words))):
        dissect(**change)


@pytest.fixture(scope="module")
def seen():
    """Scenes, and what the testbed network's channels were found to see."""
    drawn = testbed.scenes(5, 120)
    concepts, there = testbed.concepts(drawn)
    x = np.asarray(testbed.preprocess(drawn.images))
    return drawn, x, neurons.dissect(testbed.model(), x, there, concepts)


def test_a_classs_most_important_channels_have_its_name(seen):
    """The network is trained to tell shapes, so its last channels see shapes, and each class asks for its own."""
    _, x, found = seen
    shapes = set(testbed.CLASSES)
    named = [name for name in found.names if name is not None]
    assert len(named) >= 50
    assert sum(name in shapes for name in named) >= 0.9 * len(named)
    with jax.numpy_rank_promotion("allow"):
        alpha = np.asarray(neurons.importance(testbed.model(), x[:1], list(testbed.CLASSES))[0])
    own = [[found.names[k] == name for k in np.argsort(-alpha[c])[:5]] for c, name in enumerate(testbed.CLASSES)]
    chance = np.mean([sum(found.names[k] == name for k in range(64)) / 64 for name in testbed.CLASSES])
    against = [[found.names[k] == name for k in np.argsort(alpha[c])[:5]] for c, name in enumerate(testbed.CLASSES)]
    print(
        f"top five named after their class: {np.mean(own):.2f}, of all: {chance:.2f}, of the lowest: {np.mean(against)}"
    )
    assert np.mean(own) >= 0.65
    assert chance < 0.15
    assert np.mean(against) <= 0.05
    assert "star (channels" in str(neurons.describe(alpha[testbed.CLASSES.index("star")], found.names, target="star"))


def test_shuffled_masks_name_almost_nothing(seen):
    """Names are found because masks and activations agree, not because masks are large."""
    drawn, x, found = seen
    concepts, there = testbed.concepts(drawn)
    with jax.numpy_rank_promotion("allow"):
        control = neurons.dissect(testbed.model(), x, np.roll(there, 1, 0), concepts)
    assert np.median(control.iou.max(1)) < 0.3 * np.median(found.iou.max(1))
