"""The contract of methods: they get what their parameters name, for one example and one target."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax.methods import CoarseMap
from tests import models


@dataclasses.dataclass(frozen=True)
class ZeroedChannels:
    """Evaluates the head: how much the score falls without a channel (Ablation-CAM's idea, undivided)."""

    def __call__(self, *, activations, score, head):
        channels = activations.shape[-1]
        masks = 1 - jnp.eye(channels, dtype=activations.dtype)
        without = jax.vmap(lambda mask: head(activations * jnp.broadcast_to(mask, activations.shape)))(masks)
        weights = score - without
        return CoarseMap(activations @ weights, weights)


@dataclasses.dataclass(frozen=True)
class MaskedInput:
    """Evaluates the model: the score of the input behind each upsampled feature map (Score-CAM's idea)."""

    def __call__(self, *, activations, model, inputs, upsample):
        masks = jax.vmap(upsample, -1)(activations)
        weights = jax.vmap(lambda mask: model(inputs * mask[..., None]))(masks)
        return CoarseMap(activations @ weights, weights)


@dataclasses.dataclass(frozen=True)
class Noise:
    """Draws random numbers."""

    def __call__(self, *, activations, key):
        return CoarseMap(jax.random.normal(key, activations.shape[:-1]))


@pytest.fixture(scope="module")
def model():
    return models.model(models.DENSE)


@pytest.fixture(scope="module")
def x():
    return models.pictures()


def explain(model, x, target, **options):
    return camjax.explain(model, x, target, **({"layer": models.DENSE, "size": None} | options))


def test_a_method_that_evaluates_the_head(model, x):
    got = explain(model, x, [[0, 3]], method=ZeroedChannels())
    A, _ = models.features(model.params, x)
    for channel in range(5):
        drop = model(x) - models.dense_head(model.params, A.at[..., channel].set(0), None)
        np.testing.assert_allclose(got.weights[:, :, channel], drop[:, jnp.array([0, 3])], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(got.score, model(x)[:, jnp.array([0, 3])], rtol=1e-4)


def test_a_method_that_evaluates_the_model(model, x):
    got = explain(model, x, [[0, 3]], method=MaskedInput())
    A, _ = models.features(model.params, x)
    for channel in range(5):
        scores = model(x * A[..., channel, None])
        np.testing.assert_allclose(got.weights[:, :, channel], scores[:, jnp.array([0, 3])], rtol=1e-4, atol=1e-4)


def test_noise_is_a_function_of_the_key_and_the_examples_id(model, x):
    key = jax.random.key(3)
    noise = explain(model, x, [[0, 3]], method=Noise(), key=key, ids=[10, 11, 12]).raw
    np.testing.assert_array_equal(noise[:, 0], noise[:, 1])  # all targets of an example share it
    assert not jnp.allclose(noise[0], noise[1])
    turned = explain(model, x, 0, method=Noise(), key=key, ids=[12, 10, 11]).raw
    np.testing.assert_array_equal(turned, noise[jnp.array([2, 0, 1]), 0])
    alone = explain(model, x[:1], 0, method=Noise(), key=key, ids=jnp.array([11])).raw
    np.testing.assert_array_equal(alone[0], noise[1, 0])
    default = explain(model, x, 0, method=Noise(), key=key).raw
    np.testing.assert_array_equal(default, explain(model, x, 0, method=Noise(), key=key, ids=[0, 1, 2]).raw)
    assert not jnp.allclose(default, explain(model, x, 0, method=Noise(), key=jax.random.key(4)).raw)


def test_a_method_can_be_a_function(model, x):
    def mean_activation(activations, power=1):
        return CoarseMap((activations**power).mean(-1))

    A, _ = models.features(model.params, x)
    np.testing.assert_allclose(explain(model, x, 0, method=mean_activation).raw, A.mean(-1), rtol=1e-5)


def test_chunk_is_what_is_left_for_the_method(model, x):
    seen = []

    def method(activations, chunk):
        seen.append(chunk)
        return CoarseMap(activations.mean(-1))

    explain(model, x, 0, method=method, chunk=60)
    explain(model, x, [[0, 1]], method=method, chunk=60)
    explain(model, x, 0, method=method, chunk=1)
    assert seen == [20, 10, 1]


def test_arrays_are_wide_and_have_no_batch_axis(x):
    def method(activations, gradients, score, inputs):
        assert activations.shape == gradients.shape == (6, 6, 5)
        assert activations.dtype == gradients.dtype == score.dtype == jnp.float32
        assert inputs.shape == (6, 6, 2)
        assert inputs.dtype == jnp.bfloat16
        return CoarseMap(activations.mean(-1))

    explain(models.model(dtype=jnp.bfloat16), x.astype(jnp.bfloat16), 0, method=method, layer=models.POOLED)


def wrong(**returned):
    return lambda activations: CoarseMap(
        **{"raw": activations.mean(-1)} | {k: f(activations) for k, f in returned.items()}
    )


METHOD_ERRORS = {
    "a class": (camjax.GradCAM, r"method: expected an instance such as GradCAM\(\), .* got the class GradCAM"),
    "a name": ("gradcam", r"method: expected an instance such as camjax.GradCAM\(\), or a function, got 'gradcam'"),
    "an unknown need": (
        lambda activations, logits: None,
        r"asks for 'logits', which no one can give.*activations:.*head:",
    ),
    "positional": (lambda *args: None, r"asks for '\*args'"),
    "no map": (lambda activations: activations, r"returned .*, expected camjax.CoarseMap\(raw, weights\)"),
    "a map of another shape": (wrong(raw=lambda a: a), r"a raw map of shape \(6, 6, 5\), expected .* shape \(6, 6\)"),
    "weights of another shape": (
        wrong(weights=lambda a: a[0, 0, :2]),
        r"weights of shape \(2,\), .* shape \(5,\) or None",
    ),
    "a key": (Noise(), r"key: Noise draws random numbers; pass key=jax.random.key\(0\)"),
}


@pytest.mark.parametrize(("method", "message"), METHOD_ERRORS.values(), ids=METHOD_ERRORS)
def test_errors_in_words(model, x, method, message):
    with pytest.raises(ValueError, match=message):
        explain(model, x, 0, method=method)


def test_a_method_that_is_not_hashable(model, x):
    @dataclasses.dataclass
    class Loose:
        def __call__(self, *, activations):
            return CoarseMap(activations.mean(-1))

    with pytest.raises(ValueError, match=r"method: Loose is not hashable.*frozen dataclass"):
        explain(model, x, 0, method=Loose())


@pytest.mark.parametrize("ids", [[1, 2], jnp.zeros(3), 5])
def test_ids_that_do_not_fit(model, x, ids):
    with pytest.raises(ValueError, match=r"ids: got .* expected one integer per example: shape \(3,\)"):
        explain(model, x, 0, method=Noise(), key=jax.random.key(0), ids=ids)
