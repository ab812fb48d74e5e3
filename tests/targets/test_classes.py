import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import targets
from tests import models

LABELS = ("cat", "Dog", "crane", "crane")


@pytest.fixture(scope="module")
def model():
    return models.model(labels=LABELS)


@pytest.fixture(scope="module")
def x():
    return models.pictures()


@pytest.fixture(scope="module")
def logits(model, x):
    return model(x)


def explain(model, x, target, **options):
    return camjax.explain(model, x, target, layer=models.POOLED, size=None, **options)


# What is given, the classes that are explained ([B] or [B, K]), whether the axis K is there.
SPELLINGS = {
    "an int": (2, [2, 2, 2]),
    "a NumPy scalar": (np.int64(2), [2, 2, 2]),
    "a jax scalar": (jnp.int32(2), [2, 2, 2]),
    "one per example": ([0, 3, 1], [0, 3, 1]),
    "one per example, uint8": (np.array([0, 3, 1], np.uint8), [0, 3, 1]),
    "shared": ([[0, 3]], [[0, 3]] * 3),
    "own": ([[0, 3], [1, 2], [2, 2]], [[0, 3], [1, 2], [2, 2]]),
    "a name": ("cat", [0, 0, 0]),
    "a name in other letters": ("dog", [1, 1, 1]),
    "names": (["cat", "Dog"], [[0, 1]] * 3),
}


@pytest.mark.parametrize(("target", "classes"), SPELLINGS.values(), ids=SPELLINGS)
def test_a_class_in_any_spelling(model, x, logits, target, classes):
    got = explain(model, x, target)
    np.testing.assert_array_equal(got.target, classes)
    assert got.target.dtype == jnp.int32
    rows = np.arange(3).reshape((3,) + (1,) * (np.ndim(classes) - 1))
    np.testing.assert_allclose(got.score, logits[rows, np.array(classes)], rtol=1e-5)
    assert got.raw.shape == (*np.shape(classes), 6, 6)
    assert got.weights.shape == (*np.shape(classes), 5)
    assert got.status.shape == np.shape(classes)


def test_none_is_the_predicted_class(model, x, logits):
    got = explain(model, x, None)
    np.testing.assert_array_equal(got.target, logits.argmax(-1))
    np.testing.assert_allclose(got.raw, explain(model, x, logits.argmax(-1)).raw, rtol=1e-5, atol=1e-6)


def test_top_k_is_best_first(model, x, logits):
    got = explain(model, x, targets.top(3))
    np.testing.assert_array_equal(got.target, jnp.argsort(-logits, axis=-1)[:, :3])
    assert (jnp.diff(got.score, axis=1) <= 0).all()


def test_probability(model, x, logits):
    got = explain(model, x, targets.probability([[0, 1]]))
    np.testing.assert_allclose(got.score, jax.nn.softmax(logits)[:, :2], rtol=1e-5)
    np.testing.assert_array_equal(got.target, [[0, 1]] * 3)
    np.testing.assert_allclose(
        explain(model, x, targets.probability()).score, jax.nn.softmax(logits).max(-1), rtol=1e-5
    )


def test_probability_of_a_probability_is_refused(model, x):
    with pytest.raises(ValueError, match=r"probability\(\) takes classes .* got Negated"):
        explain(model, x, targets.probability(targets.negated(1)))


def test_negated_turns_the_sign_of_score_and_map(model, x):
    plain, turned = explain(model, x, "cat"), explain(model, x, targets.negated("cat"))
    np.testing.assert_allclose(turned.score, -plain.score, rtol=1e-6)  # two programs: sums may be rounded otherwise
    np.testing.assert_allclose(turned.raw, -plain.raw, rtol=1e-6)
    np.testing.assert_array_equal(turned.target, plain.target)


def test_contrast_is_the_difference(model, x):
    one, other = explain(model, x, 0), explain(model, x, 3)
    got = explain(model, x, targets.contrast(0, 3))
    np.testing.assert_allclose(got.score, one.score - other.score, rtol=1e-5)
    np.testing.assert_allclose(got.raw, one.raw - other.raw, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(got.target, one.target)


def test_contrast_of_one_with_many(model, x, logits):
    got = explain(model, x, targets.contrast("cat", [[1, 2]]))
    np.testing.assert_allclose(got.score, logits[:, :1] - logits[:, 1:3], rtol=1e-5)
    with pytest.raises(ValueError, match=r"contrast of 2 scores with 3"):
        explain(model, x, targets.contrast([[0, 1]], targets.top(3)))


def test_contrast_with_the_predicted_class(model, x, logits):
    got = explain(model, x, targets.contrast([1, 1, 2], None), strict=False)
    np.testing.assert_allclose(got.score, logits[jnp.arange(3), jnp.array([1, 1, 2])] - logits.max(-1), atol=1e-5)


def test_a_function_of_one_examples_outputs(model, x, logits):
    got = explain(model, x, lambda out: out[0] * out[1])
    np.testing.assert_allclose(got.score, logits[:, 0] * logits[:, 1], rtol=1e-5)
    np.testing.assert_array_equal(got.target, [-1, -1, -1])


def test_targets_of_targets(model, x, logits):
    got = explain(model, x, targets.negated(targets.contrast(lambda out: out[0], targets.probability("dog"))))
    np.testing.assert_allclose(got.score, jax.nn.softmax(logits)[:, 1] - logits[:, 0], rtol=1e-5)


def test_a_target_of_ones_own(model, x, logits):
    @jax.tree_util.register_dataclass
    @dataclasses.dataclass(frozen=True)
    class Weighted(targets.Target):
        weights: jax.Array  # [B or 1, K, classes]

        def __call__(self, outputs):
            return jnp.vdot(self.weights, outputs)

    weights = jnp.ones((1, 2, 4)) * jnp.array([1.0, 2.0])[None, :, None]
    got = explain(model, x, Weighted(weights))
    np.testing.assert_allclose(got.score, logits.sum(-1)[:, None] * jnp.array([[1.0, 2.0]]), rtol=1e-5)


ERRORS = {
    "too long": ([0, 1], r"target: got shape \(2,\) for a batch of 3; expected .*\[3\] indices.*target\[None\]"),
    "too many rows": (np.zeros((2, 2), int), r"target: got shape \(2, 2\) for a batch of 3"),
    "three axes": (np.zeros((3, 1, 1), int), r"target: got shape \(3, 1, 1\)"),
    "no class at all": (np.zeros((3, 0), int), r"target: got shape \(3, 0\)"),
    "ragged": ([[0], [1, 2]], r"target: got \[\[0\], \[1, 2\]\], which is not an array"),
    "float": (1.0, r"target: class indices must be integers, got float64 \(1.0\)"),
    "float array": (jnp.zeros(3), r"target: class indices must be integers, got float32"),
    "bool": (True, r"target: class indices must be integers, got bool"),
    "too large": (4, r"target: got class 4 for examples 0, 1, 2, but the model has 4 classes; .* from 0 to 3"),
    "one too large": ([0, 7, 1], r"target: got class 7 for example 1, but the model has 4 classes"),
    "negative": ([[0, -1]], r"target: got class -1 for examples 0, 1, 2, but the model has 4 classes"),
    "beyond 32 bits": (2**40, r"target: 1099511627776 is out of the range"),
    "unknown name": ("cart", r"no class is called 'cart'; did you mean 'cat'.* 4 labels"),
    "ambiguous name": ("crane", r"'crane' is the name of classes \[2, 3\]; give the index"),
    "mixed": (["cat", 1], r"class indices must be integers, got <U"),
    "top too many": (targets.top(5), r"targets.top: k = 5, but the model has 4 classes"),
    "not a scalar": (lambda out: out, r"must return a floating scalar .* got shape \(4,\) float32; .* float32\[4\]"),
    "not an array": (lambda out: 1.0, r"must return a floating scalar .* got float"),
}


@pytest.mark.parametrize(("target", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_in_words(model, x, target, message):
    with pytest.raises(ValueError, match=message):
        explain(model, x, target)


def test_a_name_without_labels(x):
    with pytest.raises(
        ValueError, match=r"got the class name 'cat', but the model has no labels; give .* index, or make"
    ):
        explain(models.model(), x, "cat")


@pytest.mark.parametrize("k", [0, -1, True, 2.0])
def test_top_of_what_is_no_count(k):
    with pytest.raises(ValueError, match=r"targets.top: k must be a positive int"):
        targets.top(k)


@pytest.mark.parametrize("classes", [4, -1, -5, 2**31 - 1])
def test_under_jit_a_bad_class_is_a_status_and_never_another_class(model, x, classes):
    got = jax.jit(lambda c: explain(model, x, c))(jnp.full((3, 2), classes).at[:, 0].set(1))
    np.testing.assert_array_equal(got.status[:, 0], 0)
    np.testing.assert_array_equal(got.status[:, 1], camjax.Status.BAD_TARGET)
    assert jnp.isnan(got.score[:, 1]).all()
    assert (got.raw[:, 1] == 0).all()
    np.testing.assert_array_equal(got.target[:, 1], classes)


OUTPUTS = {
    "an entry called logits": (lambda out: {"logits": out, "aux": out * 2}, 1),
    "the only vector": (lambda out: (out, jnp.zeros((out.shape[0], 3, 3))), 1),
    "beside integers": (lambda out: {"scores": out, "best": out.argmax(-1)}, 1),
    "one number per example": (lambda out: out[:, 1], 0),
}


@pytest.mark.parametrize(("outputs", "target"), OUTPUTS.values(), ids=OUTPUTS)
def test_where_the_class_scores_are(model, x, logits, outputs, target):
    split = camjax.Split(models.features, lambda p, A, rest: outputs(models.pooled_head(p, A, rest)))
    got = camjax.explain(model, x, target, layer=split, size=None)
    np.testing.assert_allclose(got.score, logits[:, 1], rtol=1e-5)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (lambda out: (out, out), r"which of the model's outputs .* \[0\]: float32\[4\], \[1\]: float32\[4\]"),
        (
            lambda out: out[:, None],
            r"outputs: float32\[1, 4\], expected one floating vector, or an entry called 'logits'",
        ),
        (lambda out: out.argmax(-1), r"outputs: int32\[\].*target=lambda outputs"),
    ],
)
def test_outputs_without_class_scores_need_a_function(model, x, outputs, message):
    split = camjax.Split(models.features, lambda p, A, rest: outputs(models.pooled_head(p, A, rest)))
    with pytest.raises(ValueError, match=message):
        camjax.explain(model, x, 1, layer=split)
