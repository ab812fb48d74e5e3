"""The methods that draw, and the one that descends, against literal loops in float64 with the same draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax.testing.oracles import sampled
from tests import models
from tests.oracles import test_perturbation as networks

SIZE, KEY, IDS = networks.SIZE, jax.random.key(3), np.array([7, 2])
float64, model, x = networks.float64, networks.model, networks.x  # fixtures


def own(key, sample):
    return jax.random.fold_in(jax.random.fold_in(KEY, key), sample)


def maps_noise(method, A, x, key):
    return [
        np.asarray(method.sigma * jax.random.normal(own(key, sample), A.shape[:2], A.dtype))
        for sample in range(method.samples)
    ]


def picture_noise(method, A, x, key):
    keys = [jax.random.split(own(key, sample), 1)[0] for sample in range(method.samples)]
    return [np.asarray(method.sigma * jax.random.normal(one, x.shape, x.dtype)) for one in keys]


def rise_masks(method, x, key):
    masks = []
    for sample in range(method.samples):
        coarse, *places = jax.random.split(own(key, sample), 3)
        ones = np.asarray(jax.random.bernoulli(coarse, method.probability, (method.cells,) * 2), np.float64)
        at = [int(jax.random.randint(place, (), 0, -(-SIZE // method.cells))) for place in places]
        masks.append(sampled.rise_mask(ones, (SIZE, SIZE), at))
    return masks


ON_MAPS, ON_INPUTS = camjax.SSCAM(3), camjax.SSCAM(3, 0.5, "inputs")
RISES = camjax.RISE(9, 4, 0.4), camjax.RISE(9, 4, scores="score")
CASES = {
    ON_MAPS: lambda A, x, S, p, key: sampled.sscam(A, x, S, maps_noise(ON_MAPS, A, x, key)),
    ON_INPUTS: lambda A, x, S, p, key: sampled.sscam(A, x, S, picture_noise(ON_INPUTS, A, x, key), on="inputs"),
    RISES[0]: lambda A, x, S, p, key: sampled.rise(x, p, rise_masks(RISES[0], x, key), 0.4),
    RISES[1]: lambda A, x, S, p, key: sampled.rise(x, S, rise_masks(RISES[1], x, key), 0.5),
    camjax.OptiCAM(4): lambda A, x, S, p, key: sampled.opticam(A, x, S, 4, 0.1),
    camjax.RandomCAM(): lambda A, x, S, p, key: A @ np.asarray(drawn(A, key)),
}


def drawn(A, key):
    return jax.random.uniform(jax.random.fold_in(KEY, key), A.shape[-1:], A.dtype, -1, 1)


@pytest.mark.parametrize("method", CASES, ids=repr)
def test_a_method_is_its_papers_equation(method, model, x):
    if isinstance(method, camjax.OptiCAM):
        pytest.importorskip("optax")
        # The weight of a dead channel changes nothing: Adam would make a step of the differences' rounding.
        model = camjax.Model(model.apply, model.params | {"kernel": models.params(size=SIZE)["kernel"]})
    got = camjax.explain(model, x, 1, layer=networks.SPLIT, method=method, key=KEY, ids=IDS, size=None).raw
    (S, _), (p, _) = networks.scores(model), networks.scores(model, probability=True)
    for b, key in enumerate(IDS):
        A = np.asarray(networks.features(model.params, x[b : b + 1])[0][0])
        want = CASES[method](A, np.asarray(x[b]), S, p, key)
        np.testing.assert_allclose(got[b], want, rtol=1e-6, atol=1e-6 * np.abs(want).max())


def test_random_weights_are_uniform_and_new_for_each_example():
    A = jnp.ones((4000, 1, 1, 5))
    split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    model = camjax.Model(lambda w, x: x.mean((1, 2)), None)
    w = np.asarray(camjax.explain(model, A, 0, layer=split, method=camjax.RandomCAM(), key=KEY, size=None).weights)
    assert np.unique(w).size == w.size
    np.testing.assert_allclose(np.quantile(w, [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.02)
