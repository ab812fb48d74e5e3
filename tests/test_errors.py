"""What is wrong, where, what was expected and what to do: the texts that users meet."""

import warnings

import jax
import jax.numpy as jnp
import pytest

import camjax
from tests import models


@pytest.fixture(scope="module")
def model():
    return models.model()


@pytest.fixture(scope="module")
def x():
    return models.pictures()


def explain(model, x, target=1, **options):
    return camjax.explain(model, x, target, **({"layer": models.POOLED} | options))


OPTIONS = {
    "normalize": ({"normalize": "sum"}, r"normalize: got 'sum', expected one of 'max', 'minmax', None"),
    "upsampling": ({"upsampling": "bicubic"}, r"upsampling: got 'bicubic', expected one of 'bilinear', 'nearest'"),
    "scores": ({"scores": "softmax"}, r"scores: got 'softmax', expected one of 'logits', 'outputs'"),
    "chunk": ({"chunk": 0}, r"chunk: got 0, expected a positive int"),
    "size": ({"size": (0, 3)}, r"size: got \(0, 3\), expected 'input', None"),
    "size as an int": ({"size": 224}, r"size: got 224, expected 'input', None.* such as \(224, 224\)"),
    "layer": ({"layer": 3}, r"layer: got 3, expected a layer's name"),
    "misspelt layer": ({"layer": "con"}, r"'con'.*'conv'"),
    "axes": (
        {"layer": "conv", "axes": {"space": (1, 2), "channel": 7}},
        r"axes: .*channel=7 must be different dimensions",
    ),
}


@pytest.mark.parametrize(("options", "message"), OPTIONS.values(), ids=OPTIONS)
def test_options(model, x, options, message):
    with pytest.raises(ValueError, match=message):
        explain(model, x, **options)


INPUTS = {
    "an empty batch": (jnp.zeros((0, 6, 6, 2)), r"x: the batch is empty \(its first axis has length 0\)"),
    "a list": ([1.0, 2.0], r"x\[0\]: expected an array with the batch axis first, got float; convert it"),
    "only a shape": (
        jax.ShapeDtypeStruct((3, 6, 6, 2), jnp.float32),
        r"x: expected an array with the batch axis first, got ShapeDtypeStruct",
    ),
    "nothing": ({}, r"x: the input has no arrays"),
    "a scalar": ({"a": jnp.zeros(())}, r"x\['a'\]: expected the batch axis first, got a scalar"),
    "different batches": (
        {"a": jnp.zeros((2, 1)), "b": jnp.zeros((3, 1))},
        r"x: all leaves must have the same batch size, got \{\"\['a'\]\": 2, \"\['b'\]\": 3\}",
    ),
}


@pytest.mark.parametrize(("x", "message"), INPUTS.values(), ids=INPUTS)
def test_inputs(model, x, message):
    with pytest.raises(ValueError, match=message):
        explain(model, x)


def test_an_input_of_the_wrong_rank(model, x):
    with pytest.raises(ValueError, match=r"cannot be traced for a batch of 1, with x \(1, 6, 2\).*batch axis first"):
        camjax.explain(model, x[0])


def test_a_model_that_is_none(x):
    with pytest.raises(ValueError, match=r"model: expected a camjax.Model, got function; make one with"):
        camjax.explain(lambda x: x, x)


def test_nan_in_the_input(model, x):
    bad = x.at[1, 0, 0, 0].set(jnp.nan)
    with pytest.raises(ValueError, match=r"x: NaN in example 1; expected finite numbers\..*strict=False"):
        explain(model, bad)
    with pytest.raises(ValueError, match=r"x: infinite values in examples 0, 2; expected finite numbers"):
        explain(model, x.at[0].set(jnp.inf).at[2].set(-jnp.inf))


def test_a_nan_in_the_input_that_the_score_does_not_see(model, x):
    half = camjax.Split(lambda p, x: models.features(p, x[:, :, :3]), models.pooled_head)
    with pytest.raises(ValueError, match=r"x: NaN in example 2"):
        explain(model, x.at[2, 0, 5, 0].set(jnp.nan), layer=half, size=(6, 6))


def test_nan_in_the_weights(x):
    model = models.model()
    params = {**model.params, "kernel": model.params["kernel"].at[0, 0, 0, 0].set(jnp.nan)}
    with pytest.raises(
        ValueError, match=r"model: NaN or infinite values in the parameters \['kernel'\]; .* checkpoint"
    ):
        explain(camjax.Model(model.apply, params), x)


def test_nan_in_weights_that_the_function_captured(x):
    params = models.params()
    kernel = jnp.tile(params["kernel"], (1, 1, 1, 200)).at[0, 0, 0, 0].set(jnp.nan)

    def apply(_, x):
        with jax.named_scope("conv"):
            return jax.nn.relu(models.conv(x, kernel)).mean((1, 2))

    with pytest.raises(ValueError, match=r"model: NaN or infinite values in an array that apply captured"):
        camjax.explain(camjax.Model(apply, None), x, 0)


def test_a_model_that_overflows(x):
    model = models.model()
    split = camjax.Split(models.features, lambda p, A, rest: jnp.exp(1e4 + models.pooled_head(p, A, rest)))
    with pytest.raises(
        ValueError, match=r"not finite for examples 0, 1, 2, though the input and the weights are.*float32"
    ):
        explain(model, x, layer=split)


def test_a_zero_gradient_names_the_layer_and_a_better_one(model, x):
    # A head that reads the layer only for pictures that are not black.
    split = camjax.Split(
        lambda p, x: (models.features(p, x)[0], (x != 0).any()),
        lambda p, A, seen: models.pooled_head(p, A * seen.astype(A.dtype) + 1, None),
    )
    message = (
        r"layer of the Split: the score does not depend on it .* example 0; try layer='conv', or pass strict=False"
    )
    with pytest.raises(ValueError, match=message):
        explain(model, x.at[0].set(0), layer=split)


def test_probabilities_where_logits_were_expected(model, x):
    softmax = camjax.Split(models.features, lambda p, A, rest: jax.nn.softmax(models.pooled_head(p, A, rest)))
    with pytest.warns(UserWarning, match=r"sum to one: probabilities were explained.*scores='outputs'"):
        got = explain(model, x, layer=softmax)
    assert (got.status & camjax.Status.PROBABILITIES).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (explain(model, x, layer=softmax, scores="outputs").status == 0).all()
        explain(model, x, lambda out: out[0], layer=softmax)


def test_a_softmax_that_was_found_is_no_reason_to_warn(model, x):
    ends_in_softmax = camjax.Model(lambda p, x: jax.nn.softmax(model.apply(p, x)), model.params)
    got = camjax.explain(ends_in_softmax, x, 1)
    want = camjax.explain(model, x, 1)
    assert jnp.allclose(got.raw, want.raw, rtol=1e-5)
    assert (got.status == 0).all()
