"""No map is NaN where the feature maps, the score and the gradients are finite: every method, in half precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import testing
from camjax.methods._contract import needs_of
from tests.laws.tried import TRIED

TOKENS = [name for name, method in TRIED.items() if "attention" in needs_of(method)]
OTHERS = [name for name in TRIED if name not in TOKENS]


def apply(params, x):
    with jax.named_scope("maps"):
        numbers = ("NHWC", "HWIO", "NHWC")
        z = jax.lax.conv_general_dilated(x, params["kernel"], (2, 2), "VALID", dimension_numbers=numbers)
        A = jax.nn.relu(z) * params["sign"]
    return jax.nn.relu(A @ params["mix"]).mean((1, 2)) @ params["out"]


def network(dtype, channels):
    """With the scores S, -S, S / 2 and -S / 2, so that half of the classes have a score that is not positive."""
    drawn = np.random.default_rng(0).normal
    params = {
        "sign": np.ones(()),
        "kernel": np.abs(drawn(size=(2, 2, 2, channels))),
        "mix": drawn(size=(channels, 6)),
        "out": np.abs(drawn(size=(6, 1))) * np.array([[1, -1, 0.5, -0.5]]),
    }
    return cast(params, dtype)


def cast(tree, dtype):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), tree)


def pictures(dtype, *shape):
    """Noise, zeros, ones."""
    noise = np.random.default_rng(1).random(size=shape)
    return jnp.asarray(np.stack([noise, 0 * noise, 0 * noise + 1]), dtype)


def maps_of(apply, params, x, names, **options):
    """A function from parameters to the maps of all these methods: one program, as there is most to compile."""
    made = {name: camjax.explainer(camjax.Model(apply, params), x, method=TRIED[name], **options) for name in names}
    target, key = np.array([[0, 1]]), jax.random.key(0)
    program = jax.jit(lambda model: {name: f(model, x, target, key=key) for name, f in made.items()})
    return lambda params: jax.tree.map(np.asarray, program(camjax.Model(apply, params)))


CHANGES = {
    "as they are": lambda p: p,
    "negative maps": lambda p: p | {"sign": -p["sign"]},
    "a dead channel": lambda p: p | {"kernel": p["kernel"].at[..., 0].set(0)},
    "zero gradients": lambda p: p | {"out": 0 * p["out"]},
}
# Axes of one position, or of one channel, cannot be told from none, and are said.
SAID = {"axes": {"space": (1, 2), "channel": 3, "input_dims": (1, 2)}}
NETWORKS = {"float16": (jnp.float16, 3, 5, {}), "one channel, one position, bfloat16": (jnp.bfloat16, 1, 2, SAID)}


@pytest.fixture(scope="module", params=NETWORKS)
def found(request):
    dtype, channels, size, options = NETWORKS[request.param]
    params, x = network(dtype, channels), pictures(dtype, size, size, 2)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        names = [name for name in OTHERS if not (options and name == "cameras")]  # it finds the axes of other sizes
        run = maps_of(apply, params, x, names, layer="maps", **options)
        return {change: run(changed(params)) for change, changed in CHANGES.items()}


def check(explanation, of):
    assert explanation.raw.dtype == np.float32, of
    assert np.isfinite(explanation.score).all(), of
    assert np.isfinite(explanation.raw).all(), of
    assert (explanation.heatmap >= 0).all(), of
    assert (explanation.heatmap <= 1).all(), of
    assert not (explanation.status & int(camjax.Status.NON_FINITE)).any(), of


@pytest.mark.parametrize("name", OTHERS)
def test_nothing_is_nan(found, name):
    for change, maps in found.items():
        if name in maps:
            check(maps[name], change)


def test_one_class_of_the_two_has_a_negative_score(found):
    assert (np.sign(found["as they are"]["gradcam"].score[0]) == [1, -1]).all()


def test_nothing_is_nan_between_tokens():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        model = testing.tiny_transformer(patch=2, grid=(2, 2), blocks=1)
        params, x = cast(model.params, jnp.bfloat16), pictures(jnp.bfloat16, 4, 4, 3)
        params = params | {"head": params["head"].at[:, 1].set(-params["head"][:, 0])}
        run = maps_of(model.apply, params, x, TOKENS)
        for changed in (params, params | {"head": 0 * params["head"]}, jax.tree.map(jnp.zeros_like, params)):
            for name, explanation in run(changed).items():
                check(explanation, name)
