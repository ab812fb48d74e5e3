"""What `attribute` promises whatever the method: targets, batches, chunks, randomness, structures and refusals."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax.saliency import Gradient, GuidedBackprop, IntegratedGradients, Saliency, SmoothGrad, VarGrad
from camjax.saliency._batch import attribute_batch
from tests.saliency import networks

LABELS = ("star", "disc", "ring")
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def model():
    return networks.model(labels=LABELS)


@pytest.fixture(scope="module")
def x():
    return networks.pictures(3)


def close(one, other):
    scale = np.abs(other).max()
    np.testing.assert_allclose(one, other, rtol=0, atol=2e-5 * scale)


def test_targets_of_every_kind(model, x):
    every = camjax.attribute(model, x, LABELS)
    assert every.values.shape == (3, 3, *x.shape[1:])
    assert every.target.tolist() == [[0, 1, 2]] * 3
    np.testing.assert_allclose(every.score, model(x), rtol=1e-5)
    own = camjax.attribute(model, x, [2, 0, 1])
    for found, at in (
        (camjax.attribute(model, x), np.asarray(model(x).argmax(1))),
        (camjax.attribute(model, x, "disc"), [1, 1, 1]),
        (own, [2, 0, 1]),
        (camjax.attribute(model, x, 2), [2, 2, 2]),
    ):
        assert found.values.shape == x.shape
        assert found.target.tolist() == list(at)
        close(found.values, every.values[np.arange(3), np.asarray(at)])
    against = camjax.attribute(model, x, lambda outputs: outputs[0] - outputs[2])
    assert against.target.tolist() == [-1] * 3
    close(against.values, every.values[:, 0] - every.values[:, 2])
    top = camjax.attribute(model, x, camjax.targets.top(2))
    assert top.values.shape == (3, 2, *x.shape[1:])
    close(top.values[0, 0], every.values[0, int(top.target[0, 0])])


@pytest.mark.parametrize("method", [VarGrad(5), IntegratedGradients(5)], ids=lambda m: type(m).__name__)
def test_neither_chunks_nor_batches_nor_other_targets_change_anything(model, x, method):
    def of(x, target=((0, 1, 2),), **options):
        return camjax.attribute(model, x, target, method=method, key=KEY, strict=False, **options).values

    whole = of(x, chunk=64)
    assert np.abs(whole).max() > 0
    close(of(x, chunk=1), whole)  # one example, one point and one target after the other
    close(of(x[2:], ids=[2], chunk=7), whole[2:])  # two of five points at once; the noise follows the id
    close(of(x[:2], 1, chunk=6), whole[:2, 1])


def test_noise_is_a_function_of_the_key_and_the_id(model, x):
    def of(key, ids):
        return camjax.attribute(model, x[:1], 0, method=SmoothGrad(3), key=key, ids=ids).values

    first = of(KEY, [0])
    assert np.abs(first - of(KEY, [1])).max() > 1e-3
    assert np.abs(first - of(jax.random.key(1), [0])).max() > 1e-3


def test_noise_is_relative_to_each_leaf_and_absent_from_a_constant_one():
    leaves = {"flat": jnp.full((50, 50), 7.0), "ramp": jnp.linspace(0.0, 10.0, 5000)}
    noisy = SmoothGrad(noise=0.1).point(leaves, KEY, 0)
    np.testing.assert_array_equal(noisy["flat"], leaves["flat"])
    assert jnp.std(noisy["ramp"] - leaves["ramp"]) == pytest.approx(1.0, rel=0.05)


def test_it_is_a_jax_function(model, x):
    found = camjax.attribute(model, x, 1)
    close(jax.jit(lambda m, x: camjax.attribute(m, x, 1))(model, x).values, found.values)
    one = jax.vmap(lambda row: camjax.attribute(model, row[None], 1).values[0])(x)
    close(one, found.values)
    scaled = jax.grad(lambda w: jnp.sum(camjax.attribute(dataclasses.replace(model, params=w), x, 1).values))
    assert np.abs(scaled(model.params)["kernel"]).max() > 0


def test_a_second_call_compiles_nothing(model, x):
    from camjax.saliency._batch import attribute_batch

    camjax.attribute(model, x, 1)
    before = attribute_batch._cache_size()
    camjax.attribute(model, x + 1, 2)
    camjax.attribute(dataclasses.replace(model, params=jax.tree.map(jnp.square, model.params)), x, 0)
    assert attribute_batch._cache_size() == before


def test_targets_share_the_forward_passes(model, x):
    model = dataclasses.replace(model, rewrite=False)  # else each convolution is there for a CPU and for others

    def convolutions(target, method):
        program = jax.make_jaxpr(lambda x: camjax.attribute(model, x, target, method=method, key=KEY).values)(x)
        return str(program).count("conv_general_dilated[")

    # The clean example's outputs, the gradient's forward pass, and its backward pass (for one picture or for all).
    assert convolutions(0, Gradient()) == convolutions([[0, 1, 2]], Gradient()) == 3


@pytest.mark.parametrize(("entries", "expected"), [(None, 32), (10**9, 32), (1, 1)])
def test_by_default_a_cpu_computes_as_many_gradients_at_once_as_it_is_fast_at(model, monkeypatch, entries, expected):
    taken = []

    def spy(split, method, options, *arguments):
        taken.append(options.chunk)
        return attribute_batch(split, method, options, *arguments)

    monkeypatch.setattr("camjax.saliency._attribute.entries", lambda: entries)
    monkeypatch.setattr("camjax.saliency._attribute.attribute_batch", spy)
    camjax.attribute(model, networks.pictures(), 0, method=IntegratedGradients(4), strict=False)
    assert taken == [expected]


def test_memory_is_bounded_by_the_chunk(model):
    from camjax.saliency._batch import Options
    from camjax.trace import traced

    x = jnp.zeros((4, *networks.pictures().shape[1:]))
    target = camjax._target.as_target(0, None, 4)[0]

    def temporary(chunk):
        program = attribute_batch.lower(
            traced(model, x).whole(),
            IntegratedGradients(64),
            Options(chunk, True, False),
            model.params,
            x,
            target,
            None,
            KEY,
        )
        return program.compile().memory_analysis().temp_size_in_bytes

    assert temporary(8) < temporary(256) / 4


def two_inputs(params, x):
    picture, question = x["picture"], x["question"]
    words = params["words"][question].mean(1)
    return jnp.tanh(picture.reshape(picture.shape[0], -1) @ params["see"]) * words @ params["out"]


def test_a_model_of_two_inputs_has_gradients_where_numbers_are_floating():
    draw = np.random.default_rng(0).normal
    params = {name: jnp.asarray(draw(size=s), jnp.float32) for name, s in
              {"words": (5, 6), "see": (8, 6), "out": (6, 2)}.items()}  # fmt: skip
    x = {"picture": jnp.asarray(draw(size=(3, 4, 2)), jnp.float32), "question": jnp.array([[1, 2], [3, 4], [0, 0]])}
    model = camjax.Model(two_inputs, params)
    found = camjax.attribute(model, x, [[0, 1]], method=SmoothGrad(3), key=KEY)
    assert found.values["question"] is None
    assert found.values["picture"].shape == (3, 2, 4, 2)
    plain = camjax.attribute(model, x, 1).values["picture"]
    want = jax.grad(lambda p: two_inputs(params, {**x, "picture": p})[:, 1].sum())(x["picture"])
    close(plain, want)
    with pytest.raises(ValueError, match=r"x: every leaf is int32, which has no gradient; .*begins at their embedd"):
        camjax.attribute(camjax.Model(lambda w, x: w[x].sum(1), params["words"]), x["question"])


def test_half_precision_is_accumulated_in_float32():
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), networks.params())
    x = networks.pictures(2).astype(jnp.bfloat16)
    full = camjax.attribute(networks.model(), x.astype(jnp.float32), 0, method=IntegratedGradients(4), strict=False)
    found = camjax.attribute(camjax.Model(networks.apply, half), x, 0, method=IntegratedGradients(4), strict=False)
    assert found.values.dtype == found.score.dtype == jnp.float32
    assert np.abs(found.values - full.values).max() < 0.1 * np.abs(full.values).max()


def test_integrated_gradients_add_up_or_say_so(model, x):
    found = camjax.attribute(model, x, 1, method=IntegratedGradients(256))
    assert not found.status.any()
    difference = found.score - model(jnp.zeros_like(x))[:, 1]
    np.testing.assert_allclose(found.values.sum((1, 2, 3)), difference, rtol=0.01)
    steep = camjax.Model(lambda w, x: jax.nn.sigmoid(40.0 * (x - 0.7)) @ w, jnp.eye(2))
    ones = jnp.ones((2, 2))
    with pytest.warns(UserWarning, match=r"IntegratedGradients: for examples 0, 1 the values do not add up.*steps=256"):
        few = camjax.attribute(steep, ones, 0, method=IntegratedGradients(3))
    assert (few.status == int(camjax.Status.INCOMPLETE)).all()
    assert not camjax.attribute(steep, ones, 0, method=IntegratedGradients(128)).status.any()
    assert (camjax.attribute(steep, ones, 0, method=IntegratedGradients(3), strict=False).status == 64).all()


def test_what_only_values_tell(model, x):
    blank = camjax.Model(lambda w, x: x.sum((1, 2)) * w, jnp.zeros(()))
    with pytest.raises(ValueError, match=r"x: the score does not depend on it .*examples 0, 1, 2.*strict=False"):
        camjax.attribute(blank, x, 0)
    status = camjax.attribute(blank, x, 0, strict=False).status
    assert (status & int(camjax.Status.ZERO_GRADIENT)).all()
    with pytest.raises(ValueError, match="target: got class 7 for examples 0, 1, 2, but the model has 3 classes"):
        camjax.attribute(model, x, 7)
    with pytest.raises(ValueError, match="x: NaN in example 1;"):
        camjax.attribute(model, x.at[1, 0, 0, 0].set(jnp.nan), 0)
    bad = camjax.attribute(model, x.at[1, 0, 0, 0].set(jnp.nan), 0, method=GuidedBackprop(), strict=False)
    assert (np.asarray(bad.status) == int(camjax.Status.NON_FINITE)).tolist() == [False, True, False]


def test_a_rule_that_lets_nothing_through_is_empty_and_no_error(x):
    against = networks.params() | {"out": jnp.full((networks.HIDDEN, networks.CLASSES), -1.0)}
    found = camjax.attribute(camjax.Model(networks.apply, against), x, 0, method=GuidedBackprop())
    assert (found.status == int(camjax.Status.EMPTY)).all()
    assert not found.values.any()


def test_probabilities_are_taken_back_to_logits(x):
    soft = camjax.Model(lambda p, x: jax.nn.softmax(networks.apply(p, x)), networks.params())
    close(camjax.attribute(soft, x, 1).values, camjax.attribute(networks.model(), x, 1).values)
    outputs = camjax.attribute(soft, x, 1, scores="outputs")
    np.testing.assert_allclose(outputs.score, soft(x)[:, 1], rtol=1e-5)


@dataclasses.dataclass(frozen=True)
class TimesInput(Saliency):
    def values(self, x, mean, variance):
        return jax.tree.map(jnp.multiply, x, mean)


@dataclasses.dataclass(frozen=True)
class Wrong(Saliency):
    def values(self, x, mean, variance):
        return x.sum(-1)


def test_a_method_of_ones_own(model, x):
    close(camjax.attribute(model, x, 0, method=TimesInput()).values, x * camjax.attribute(model, x, 0).values)
    with pytest.raises(ValueError, match=r"method: Wrong.values returned arrays of shapes \(4, 4\) for one example of"):
        camjax.attribute(model, x, 0, method=Wrong())


_WANTED = "method: expected an instance of a camjax.saliency method such as camjax.saliency.Gradient(), got "


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": camjax.GradCAM()}, _WANTED + "GradCAM(); class-activation maps are made by camjax.explain."),
        ({"method": SmoothGrad}, _WANTED + "the class SmoothGrad"),
        ({"method": SmoothGrad()}, "key: SmoothGrad draws random numbers; pass key=jax.random.key(0)."),
        ({"chunk": 0}, "chunk: got 0, expected a positive int"),
        ({"scores": "softmax"}, "scores: got 'softmax', expected one of 'logits', 'outputs'"),
        ({"ids": [0, 1]}, "ids: got int64[2], expected one integer per example: shape (3,)."),
        ({"target": "disk"}, "target: no class is called 'disk'; did you mean 'disc'"),
        (
            {"method": IntegratedGradients(baseline=lambda x: x[..., 0])},
            "IntegratedGradients: the baseline function returned arrays of shapes (4, 4) for one example of",
        ),
    ],
)
def test_refusals_in_words(model, x, options, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        camjax.attribute(model, x, **options)


def test_the_table_of_methods():
    for name, method in camjax.saliency.METHODS.items():
        arxiv = method().about.paper.rsplit("(", 1)[1].rstrip(")")
        assert arxiv in (method.__doc__ or "")
        assert name == method.__name__.lower()
        assert "Cost:" in (method.__doc__ or "")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SmoothGrad(samples=0), "SmoothGrad: samples must be an int of at least 1, got 0."),
        (lambda: VarGrad(samples=1), "VarGrad: samples must be an int of at least 2, got 1."),
        (lambda: SmoothGrad(noise=-1), "SmoothGrad: noise must be a number of at least 0"),
        (lambda: IntegratedGradients(steps=2.5), "IntegratedGradients: steps must be an int of at least 1, got 2.5."),
    ],
)
def test_fields_are_checked(make, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        make()
