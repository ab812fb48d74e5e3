"""FullGrad: by hand, against its oracle, its laws, and completeness on real architectures (those need torch)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import testing
from camjax.methods import FullGrad
from camjax.testing.oracles import fullgrad as oracle
from tests import models


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64():
        yield


def explain(apply, params, x, target=0, **options):
    return camjax.explain(camjax.Model(apply, params), x, target, method=FullGrad(), **options)


def test_a_case_by_hand():
    # One row of 2 pixels, h = relu(x K + b), K = [[1, -1]], b = [1, 2], S = 3 mean h_0 + 2 mean h_1.
    # x = [4, -3]: z = [[5, -2], [-2, 5]], so that only h_0 of the first and h_1 of the second pixel are alive.
    # S = (3 * 5 + 2 * 5) / 2 = 12.5. dS/dx = [3/2, -1], x dS/dx = [6, 3]; b g = [[3/2, 0], [0, 2]]: 9 + 3.5 = 12.5.
    def apply(p, x):
        dims = ("NWC", "WIO", "NWC")
        h = jax.lax.conv_general_dilated(x, p["K"], (1,), "SAME", dimension_numbers=dims)
        h = jax.nn.relu(h + p["b"])
        return h.mean(1) @ jnp.array([[3.0], [2.0]])

    params = {"K": jnp.array([[[1.0, -1.0]]]), "b": jnp.array([[[1.0, 2.0]]])}
    x = jnp.array([[[4.0], [-3.0]]])
    got = explain(apply, params, x)
    np.testing.assert_allclose(got.score, [12.5])
    # psi of the input's shares [6, 3] is [1, 0]; of the biases' [[3/2, 0], [0, 2]], [[3/4, 0], [0, 1]].
    np.testing.assert_allclose(got.raw, [[1 + 3 / 4, 1]], rtol=1e-12)
    found = testing.completeness(camjax.Model(apply, params), x, 0)
    np.testing.assert_allclose([found.score, found.total, found.size], np.full((3, 1, 1), 12.5), rtol=1e-12)


def convolved(x, kernel, stride):
    """3x3, zeros around, one position after the other."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    grid = [range(0, n, stride) for n in x.shape[:2]]
    return np.array(
        [[np.einsum("abi,abio->o", padded[i : i + 3, j : j + 3], kernel) for j in grid[1]] for i in grid[0]]
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_its_oracle_with_relu6_strides_and_a_layer_norm(seed):
    rng = np.random.default_rng(seed)
    p = {
        "k1": rng.normal(size=(3, 3, 2, 3)),
        "b1": rng.normal(size=3),
        "k2": rng.normal(size=(3, 3, 3, 3)),
        "gamma": rng.normal(size=3),
        "beta": rng.normal(size=3),
        "W": rng.normal(size=(3, 2)),
        "c": rng.normal(size=2),
    }
    x = 2 * rng.normal(size=(5, 3, 2))

    def apply(p, x):
        def row(v):
            return v[None, None, None]

        h = jax.nn.relu6(models.conv(x, p["k1"]) + row(p["b1"]))
        h = models.conv(h, p["k2"], stride=2)
        d = h - h.mean(-1, keepdims=True)
        h = d * jax.lax.rsqrt((d * d).mean(-1, keepdims=True) + 0.1) * row(p["gamma"]) + row(p["beta"])
        return h.mean((1, 2)) @ p["W"] + p["c"][None]

    values = {}

    def score(nudges, x=x):
        """S by NumPy, where `nudges` are added at the sites; keeps the values on its way."""

        def at(name, value):
            values[name] = value
            return value + nudges.get(name, 0)

        z = at("bias", convolved(x, p["k1"], 1) + p["b1"])
        h = convolved(at("relu6", np.clip(z, 0, 6)), p["k2"], 2)
        d = values["d"] = h - h.mean(-1, keepdims=True)
        v = at("eps", at("square", d * d).mean(-1, keepdims=True) + 0.1)
        r = at("rsqrt", v**-0.5)
        y = at("product", d * r * p["gamma"] + p["beta"])
        return float((y.mean((0, 1)) @ p["W"] + p["c"])[0])

    want = score({})
    clean = dict(values)
    biases = {
        "bias": np.broadcast_to(p["b1"], clean["bias"].shape),
        "relu6": oracle.residual(lambda z: np.clip(z, 0, 6), clean["bias"]),
        "square": -clean["square"],
        "eps": np.full(clean["eps"].shape, 0.1),
        "rsqrt": oracle.residual(lambda v: v**-0.5, clean["eps"]),
        "product": -clean["d"] * clean["rsqrt"] * p["gamma"] + p["beta"],
    }
    shares = [x * testing.oracles.gradient(lambda x: score({}, x), x)]
    shares += [oracle.share(lambda n, name=name: score({name: n}), b) for name, b in biases.items()]
    np.testing.assert_allclose(sum(s.sum() for s in shares) + p["c"][0], want, rtol=1e-7)

    got = explain(apply, jax.tree.map(jnp.asarray, p), jnp.asarray(x)[None])
    np.testing.assert_allclose(got.score, [want], rtol=1e-12)
    np.testing.assert_allclose(got.raw[0], oracle.full_grad(shares, (5, 3)), rtol=1e-6, atol=1e-6)
    # Normalised channel by channel, as pytorch-grad-cam does, and with the biases of convolutions alone, it is another.
    peer = sum(oracle.full_grad([s[..., k : k + 1]], (5, 3)) for s in shares[:2] for k in range(s.shape[-1]))
    ours = np.asarray(got.raw[0])
    assert np.abs(peer / peer.max() - ours / ours.max()).max() > 0.1


def test_the_map_is_of_the_inputs_size_for_all_targets_whatever_the_layer():
    def apply(p, x):
        with jax.named_scope("stem"):
            x = jax.nn.relu(models.conv(x, p["kernel"]) + 1)
        with jax.named_scope("pooled"):
            x = x[:, ::2, ::2] * 2
        return x.mean((1, 2)) @ p["matrix"]

    params, x = models.params(), models.pictures()
    first = explain(apply, params, x, [[0, 2]], layer="stem")
    second = explain(apply, params, x, [[0, 2]], layer="pooled")
    assert first.raw.shape == (3, 2, 6, 6)
    np.testing.assert_array_equal(first.raw, second.raw)
    np.testing.assert_allclose(first.heatmap.max((2, 3)), 1)


def test_constant_pictures_and_dead_networks_are_finite():
    def apply(p, x):
        h = jax.nn.relu(models.conv(x, p["kernel"]) - 1e3)
        return h.mean((1, 2)) @ p["matrix"]

    got = explain(apply, models.params(), jnp.ones((1, 6, 6, 2)), strict=False)
    np.testing.assert_array_equal(got.raw, np.zeros((1, 6, 6)))


def test_a_hand_written_split_is_refused_in_words():
    with pytest.raises(ValueError, match=r"layer: .* hand-written camjax.Split conv does not show; leave layer= out"):
        explain(models.applies[models.POOLED], models.params(), models.pictures(), layer=models.POOLED)


def test_a_model_without_convolutions_is_refused_in_words():
    def apply(p, x):
        with jax.named_scope("mix"):
            x = jnp.tanh(x @ p)
        return x.mean((1, 2))

    with pytest.raises(ValueError, match=r"method: .* no convolution of this model labels the space axes of x"):
        explain(apply, jnp.eye(2), models.pictures(), layer="mix", axes={"space": (1, 2), "channel": 3})


def test_it_can_be_jitted_and_large_captured_arrays_are_arguments():
    large = jax.random.normal(jax.random.key(3), (3, 3, 2, 256))

    def apply(p, x):
        return jax.nn.relu6(models.conv(x, large)).mean((1, 2)) @ p

    model = camjax.Model(apply, jnp.ones((256, 2)))
    x = models.pictures(2)
    f = camjax.explainer(model, x, method=FullGrad())
    want = camjax.explain(model, x, 1, method=FullGrad())
    got = jax.jit(lambda model, x: f(model, x, 1).raw)(model, x)
    np.testing.assert_allclose(got[:, 0], want.raw, rtol=1e-9)


def test_a_cpu_evaluates_and_differentiates_by_what_is_faster_than_a_convolution():
    dims = ("NHWC", "HWIO", "NHWC")

    def apply(p, x):  # patches, and channel by channel
        x = jax.lax.conv_general_dilated(x, p["patches"], (4, 4), "VALID", dimension_numbers=dims)
        x = jax.lax.conv_general_dilated(x, p["own"], (1, 1), "SAME", dimension_numbers=dims, feature_group_count=8)
        return jax.nn.relu(x).mean((1, 2))

    random = np.random.default_rng(0)
    params = {"patches": random.normal(size=(4, 4, 3, 8)), "own": random.normal(size=(3, 3, 1, 8))}
    x = jnp.asarray(random.normal(size=(1, 16, 16, 3)))
    models = [camjax.Model(apply, params, rewrite=rewrite) for rewrite in (False, True)]
    programs = [jax.jit(camjax.explainer(m, x, method=FullGrad())).lower(m, x, 0).compile() for m in models]
    convolves = ["convolution(" in (program.as_text() or "") for program in programs]
    assert convolves == [True, jax.default_backend() != "cpu"]
    plain, fast = (program(m, x, 0).raw for program, m in zip(programs, models, strict=True))
    np.testing.assert_allclose(fast, plain, rtol=1e-10)
