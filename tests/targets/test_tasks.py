"""The targets of tasks other than classification: their scores, literally, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import targets

X = jax.random.normal(jax.random.key(0), (3, 2, 2, 6))


def score(head, target, x=X, **options):
    split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: head(A))
    return camjax.explain(camjax.Model(lambda w, x: head(x), None), x, target, layer=split, size=None, **options).score


def pooled(A):
    return A.mean((1, 2))


def boxes(A):
    fixed = jnp.array([[0.0, 0, 2, 2], [0, 0, 2, 1.8], [3, 3, 5, 5]])
    shift = pooled(A)[:, None, :1] * 0.0
    return {"boxes": fixed[None] + shift, "scores": pooled(A)[:, :3], "labels": jnp.array([[1, 0, 1]] * A.shape[0])}


def towers(A):
    own = pooled(A)
    texts = jnp.broadcast_to(jnp.eye(6)[None, :2], (A.shape[0], 2, 6))
    return {"image_embeds": own, "text_embeds": texts, "logit_scale": jnp.full(A.shape[0], 7.0)}


def test_binary_is_the_logit_or_its_negative():
    def one(A):
        return A.mean((1, 2, 3))

    np.testing.assert_allclose(score(one, targets.binary()), one(X), rtol=1e-6)
    got = score(one, targets.binary([True, False, False]))
    np.testing.assert_allclose(got, one(X) * jnp.array([1, -1, -1.0]), rtol=1e-6)
    with pytest.raises(ValueError, match=r"targets.binary: .* float32\[6\], expected one number; .* target=0"):
        score(pooled, targets.binary())


def test_a_final_sigmoid_is_taken_off_for_both_classes():
    def unit(w, x):
        with jax.named_scope("maps"):
            A = jax.nn.relu(x @ w)
        return jax.nn.sigmoid(A.mean((1, 2, 3)))

    model = camjax.Model(unit, jnp.eye(6))
    got = camjax.explain(
        model, X, targets.binary([[True, False]]), layer="maps", axes={"space": (1, 2), "channel": 3}, size=None
    )
    p = model(X)
    np.testing.assert_allclose(jax.nn.sigmoid(got.score), jnp.stack([p, 1 - p], 1), rtol=1e-5)


def test_regression_is_the_unit():
    np.testing.assert_allclose(score(pooled, targets.regression([2, 0, 5])), pooled(X)[np.arange(3), [2, 0, 5]])
    with pytest.raises(ValueError, match=r"targets.regression: the model has no such output unit \(example"):
        score(pooled, targets.regression([0, 6, 1]))
    with pytest.raises(ValueError, match=r"targets.regression: unit: got float64, expected integers"):
        score(pooled, targets.regression(1.0))


@pytest.mark.parametrize("reduce", ["sum", "mean"])
@pytest.mark.parametrize("channel", [-1, 0])
def test_segmentation_in_a_mask_of_each_example(reduce, channel):
    mask = np.array([[[1, 0], [1, 1]], [[0, 0], [0, 1]], [[1, 1], [1, 1]]], bool)
    target = targets.segmentation([2, 0, 1], mask, reduce=reduce, channel=channel)
    got = score(lambda A: A if channel else jnp.moveaxis(A, -1, 1), target)
    rows = [np.asarray(X)[i, ..., c][mask[i]] for i, c in enumerate([2, 0, 1])]
    np.testing.assert_allclose(got, [getattr(row, reduce)() for row in rows], rtol=1e-5)


def test_segmentation_where_the_class_is_predicted():
    best = X.argmax(-1)
    classes = best[:, 0, 0]
    got = score(lambda A: A, targets.segmentation(classes))
    own = [np.asarray(X)[i, ..., c][np.asarray(best)[i] == c].sum() for i, c in enumerate(classes)]
    np.testing.assert_allclose(got, own, rtol=1e-5)


def test_another_mask_is_no_other_program():
    split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A)
    model, traces = camjax.Model(lambda w, x: x, None), []

    @jax.jit
    def run(mask):
        traces.append(1)
        return camjax.explain(model, X, targets.segmentation(1, mask), layer=split, size=None).score

    ones = jnp.ones((3, 2, 2))
    np.testing.assert_allclose(2 * run(ones), run(2 * ones), rtol=1e-6)
    assert len(traces) == 1


def test_detection_takes_the_best_match_of_the_class():
    box = np.array([0, 0, 2, 1.9])
    np.testing.assert_allclose(score(boxes, targets.detection(1, box)), pooled(X)[:, 0], rtol=1e-6)
    np.testing.assert_allclose(score(boxes, targets.detection(0, box)), pooled(X)[:, 1], rtol=1e-6)
    with_overlap = score(boxes, targets.detection(1, box, overlap=True))
    np.testing.assert_allclose(with_overlap, pooled(X)[:, 0] + 0.95, rtol=1e-5)
    several = score(boxes, targets.detection(1, np.array([[[0, 0, 2, 2.0], [3, 3, 5, 5]]])))
    np.testing.assert_allclose(several, pooled(X)[:, [0, 2]], rtol=1e-6)


def test_similarity_and_embedding_are_cosines():
    own = np.asarray(pooled(X))
    unit = own / np.linalg.norm(own, axis=1, keepdims=True)
    np.testing.assert_allclose(score(pooled, targets.embedding(jnp.eye(6)[1])), unit[:, 1], rtol=1e-5)
    np.testing.assert_allclose(score(pooled, targets.embedding(3 * jnp.eye(6)[None, :2])), unit[:, :2], rtol=1e-5)
    # The cosine with itself is at its largest: its gradient is zero, but for what rounding leaves.
    same = score(pooled, targets.embedding(jnp.asarray(own)), strict=False)
    np.testing.assert_allclose(same, np.ones(3), rtol=1e-5)
    np.testing.assert_allclose(score(towers, targets.similarity([[0, 1]])), 7 * unit[:, :2], rtol=1e-5)


def test_words_are_the_terms_of_a_sequence():
    def says(A):
        return A.mean(1)

    tokens = np.array([[1, 5], [0, 0], [2, 3]])
    log = np.asarray(jax.nn.log_softmax(says(X)))
    own = np.stack([log[i, np.arange(2), row] for i, row in enumerate(tokens)])
    words = score(says, targets.words(tokens))
    np.testing.assert_allclose(words, own, rtol=1e-5)
    np.testing.assert_allclose(score(says, targets.sequence(tokens)), own.sum(1), rtol=1e-5)
    padded = score(says, targets.sequence(tokens, pad=3))
    np.testing.assert_allclose(padded, own.sum(1) - [0, 0, own[2, 1]], rtol=1e-5)


ERRORS = {
    "mask's size": (lambda A: A, targets.segmentation(1, np.ones((3, 3))), r"mask is \[3, 3\], but .* \[2, 2\] places"),
    "mask's axes": (lambda A: A, targets.segmentation(1, np.ones(3)), r"mask: got shape \(3,\) for a batch of 3"),
    "empty mask": (lambda A: A, targets.segmentation(1, np.zeros((2, 2))), r"its mask is empty"),
    "no class": (lambda A: A, targets.segmentation(None), r"target takes classes .* name the one that is meant"),
    "not a map": (pooled, targets.segmentation(1, np.ones((2, 2))), r"float32\[6\], expected one array with 3 axes"),
    "no box": (boxes, targets.detection(0, np.array([3, 3, 5, 5.0])), r"no box of this class .* IoU >= 0.5; .* iou="),
    "no corners": (boxes, targets.detection(0, np.ones(3)), r"box has 3 numbers, expected 4 \(corners\)"),
    "length": (pooled, targets.embedding(jnp.ones(5)), r"reference has 5 numbers, but the model's embedding has 6"),
    "no text": (towers, targets.similarity(2), r"the example has no text of this number"),
    "no towers": (pooled, targets.similarity(), r"expected one array with 2 axes, or one .* 'text_embeds'"),
    "too few words": (lambda A: A.mean(1), targets.sequence([1, 2, 3]), r"tokens has 3 of them, .* scores 2 places"),
    "unknown word": (lambda A: A.mean(1), targets.words([1, 6]), r"tokens has one that is not in the .* vocabulary"),
    "counts": (
        lambda A: A,
        targets.segmentation([[0, 1]], np.ones((1, 3, 2, 2))),
        r"its arrays are about 2 and 3 targets per example; expected the same number",
    ),
}


@pytest.mark.parametrize(("head", "target", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_in_words(head, target, message):
    with pytest.raises(ValueError, match=message):
        score(head, target)


def test_options_in_words():
    with pytest.raises(ValueError, match=r"reduce: got 'max', expected one of 'sum', 'mean'"):
        targets.segmentation(1, reduce="max")
    with pytest.raises(ValueError, match=r"form: got 'xyxy', expected one of 'corners', 'centre'"):
        targets.detection(1, np.ones(4), form="xyxy")
    with pytest.raises(ValueError, match=r"iou = 0, expected a number above 0 and at most 1"):
        targets.detection(1, np.ones(4), iou=0)


@pytest.mark.parametrize("target", [targets.probability(1), targets.negated(targets.probability(1))])
def test_a_softmax_of_probabilities_is_refused(target):
    with pytest.raises(ValueError, match=r"targets.probability takes the softmax of logits, got scores='outputs'"):
        score(pooled, target, scores="outputs")
