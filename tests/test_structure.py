"""What the compiled programs contain: one backbone, no backward pass of it, no copy of it per target."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax._options import Options
from camjax._pipe import explain_batch
from camjax._target import as_target
from tests import models

CLASSES, BATCH = 50, 4
PROGRAM = jax.jit(explain_batch, static_argnums=(0, 1, 2))


def features(params, x):
    with jax.named_scope("stem"):
        x = jax.nn.relu(models.conv(x, params["stem"]))
    with jax.named_scope("body"):
        x = jax.nn.relu(models.conv(x, params["body"], stride=2))
    return x, None


def head(params, A, rest):
    with jax.named_scope("top"):
        A = jax.nn.relu(models.conv(A, params["top"]))
    return A.mean((1, 2)) @ params["fc"]


def linear_head(params, A, rest):
    return A.mean((1, 2)) @ params["body_fc"]


def bypass_features(params, x):
    x, _ = features(params, x)
    return jax.nn.relu(models.conv(x, params["top"])), x


def bypass_head(params, A, rest):
    return (jnp.tanh(A) + rest[..., :1]).mean((1, 2)) @ params["fc"]


HAND = camjax.Split(features, head)
LINEAR = camjax.Split(features, linear_head)
BYPASS = camjax.Split(bypass_features, bypass_head)


def bypassed(params, x):
    x, _ = features(params, x)
    with jax.named_scope("branch"):
        y = jax.nn.relu(models.conv(x, params["top"]))
    return (jnp.tanh(y) + x[..., :1]).mean((1, 2)) @ params["fc"]


@pytest.fixture(scope="module")
def params():
    keys = jax.random.split(jax.random.key(0), 5)
    shapes = {
        "stem": (3, 3, 3, 32),
        "body": (3, 3, 32, 64),
        "top": (3, 3, 64, 16),
        "fc": (16, CLASSES),
        "body_fc": (64, CLASSES),
    }
    return {name: jax.random.normal(k, shape) for k, (name, shape) in zip(keys, shapes.items(), strict=True)}


@pytest.fixture(scope="module")
def x():
    return jax.random.normal(jax.random.key(1), (BATCH, 32, 32, 3))


def flops(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


def cost(split, params, x, target, method=None, chunk=10**6):
    """The flops of the program that `explain` runs, without heatmaps."""
    bound, _ = as_target(target, None, x.shape[0])
    options = Options(size=None, chunk=chunk)
    program = PROGRAM.lower((split,), method or camjax.GradCAM(), options, params, x, bound, None, None)
    return program.compile().cost_analysis()["flops"]


def put_together(split):
    return lambda params, x: split.head(params, *split.features(params, x))


def head_alone(split, params, x):
    A, rest = jax.eval_shape(split.features, params, x)

    def gradient(params, A, rest):
        outputs, pull = jax.vjp(lambda A: split.head(params, A, rest), A)
        return outputs, pull(jnp.ones_like(outputs))

    return flops(gradient, params, A, rest)


@pytest.mark.parametrize(
    "method", [camjax.GradCAM(), camjax.HiResCAM(), camjax.LayerCAM()], ids=lambda m: type(m).__name__
)
def test_the_backbone_runs_once_forward_and_never_backward(params, x, method):
    forward = flops(put_together(HAND), params, x)
    backbone = flops(features, params, x)
    limit = backbone + 1.1 * head_alone(HAND, params, x)
    assert cost(HAND, params, x, 1, method) < limit
    # So the limit is one: with the backbone differentiated as well, far more is computed.
    whole = flops(lambda p, x: jax.grad(lambda x: put_together(HAND)(p, x).sum())(x), params, x)
    assert whole > 1.3 * limit > 1.3 * forward


def test_a_linear_head_costs_next_to_nothing(params, x):
    assert cost(LINEAR, params, x, 1) < 1.02 * flops(put_together(LINEAR), params, x)


def test_the_backbone_runs_once_for_all_classes(params, x):
    every = np.arange(CLASSES)[None]
    backbone = flops(features, params, x)
    one, all_classes = cost(HAND, params, x, 1), cost(HAND, params, x, every)
    per_class = (all_classes - one) / (CLASSES - 1)
    # What a further class costs is the head's backward pass, whatever the backbone costs.
    assert per_class < min(head_alone(HAND, params, x), backbone / 2)
    own = np.tile(every, (BATCH, 1))
    assert cost(HAND, params, x, own) < backbone + 1.2 * CLASSES * head_alone(HAND, params, x)


def test_the_gradient_of_a_linear_head_is_not_computed_per_example(params, x):
    every = np.arange(CLASSES)[None]
    A = jax.eval_shape(features, params, x)[0]
    forward = flops(put_together(LINEAR), params, x)
    maps = 2 * A.size * CLASSES  # the matrix product [B Z, C] x [C, K]
    gradients = 2 * CLASSES * CLASSES * A.shape[-1]
    once = 1.05 * (forward + maps + gradients)
    own = np.tile(every, (BATCH, 1))
    assert cost(LINEAR, params, x, every) < once
    assert cost(LINEAR, params, x, own) < once  # the maps of all classes, from which each example's are picked
    assert cost(LINEAR, params, x, camjax.targets.top(CLASSES)) < once
    assert cost(LINEAR, params, x, own[:, 1:]) > once


@pytest.mark.parametrize("split", [LINEAR, HAND], ids=["linear", "head"])
def test_all_classes_in_an_order_of_each_examples_own_are_what_each_class_is(params, x, split):
    rng = np.random.default_rng(0)
    own = np.stack([rng.permutation(CLASSES + 2) - 1 for _ in range(BATCH)])  # -1 and CLASSES are no classes
    model = camjax.Model(put_together(split), params)
    got = camjax.explain(model, x, own, layer=split, strict=False)
    np.testing.assert_array_equal(np.isnan(got.score), (own < 0) | (own >= CLASSES))
    np.testing.assert_array_equal(got.target, own)
    for k in (17, *np.argwhere(own[0] < 0)[0]):
        one = camjax.explain(model, x, own[:, k], layer=split, strict=False)
        for name in ("heatmap", "raw", "weights", "score", "status"):
            np.testing.assert_allclose(getattr(got, name)[:, k], getattr(one, name), 1e-5, 1e-5, err_msg=name)


def test_many_targets_are_evaluated_in_chunks_unless_their_gradient_is_shared(params, x):
    def longest(split, target, chunk):
        bound, _ = as_target(target, None, BATCH)
        arguments = (params, x, bound, None, None)
        jaxpr = jax.make_jaxpr(explain_batch, static_argnums=(0, 1, 2))(
            (split,), camjax.GradCAM(), Options(size=None, chunk=chunk), *arguments
        )
        return "scan" in str(jaxpr)

    every = np.arange(CLASSES)[None]
    assert not longest(HAND, every, chunk=CLASSES * BATCH)
    assert longest(HAND, every, chunk=CLASSES * BATCH - 1)
    assert not longest(LINEAR, every, chunk=CLASSES)
    assert longest(LINEAR, every, chunk=CLASSES - 1)
    own = np.tile(every, (BATCH, 1))
    assert not longest(LINEAR, own, chunk=CLASSES)
    assert longest(LINEAR, own[:, 1:], chunk=CLASSES)


def test_memory_is_bounded_by_the_chunk(params, x):
    every = np.tile(np.arange(CLASSES), (BATCH, 1))

    def temporary(chunk):
        bound, _ = as_target(every, None, BATCH)
        options = Options(size=None, chunk=chunk)
        program = PROGRAM.lower((HAND,), camjax.HiResCAM(), options, params, x, bound, None, None)
        return program.compile().memory_analysis().temp_size_in_bytes

    assert temporary(BATCH) < temporary(10**6) / 4


@pytest.mark.parametrize(
    ("split", "layer"), [(HAND, "body"), (LINEAR, "body"), (BYPASS, "branch")], ids=["head", "linear", "bypass"]
)
def test_a_planted_head_costs_no_more_than_a_hand_written_one(params, x, split, layer):
    apply = bypassed if split is BYPASS else put_together(split)
    # On a CPU what a convolution reads has bounds, one operation an entry.
    for rewrite, times in ((False, 1.001), (True, 1.005)):
        traced = camjax.split(camjax.Model(apply, params, rewrite=rewrite), x, layer)
        for target in (1, [[1, 2, 3]]):
            assert cost(traced, params, x, target) <= times * cost(split, params, x, target)
        one = jax.ShapeDtypeStruct((1, *x.shape[1:]), x.dtype)
        A, rest = jax.eval_shape(traced.features, params, one)
        by_hand, hand_rest = jax.eval_shape(split.features, params, one)
        assert A.shape == by_hand.shape
        assert flops(traced.head, params, A, rest) <= times * flops(split.head, params, by_hand, hand_rest)


@pytest.mark.parametrize("method", [camjax.AblationCAM(), camjax.ReciproCAM()], ids=lambda m: type(m).__name__)
def test_a_bypassed_layer_evaluates_the_backbone_once_however_often_the_head_runs(params, x, method):
    model = camjax.Model(bypassed, params, rewrite=False)  # else each convolution is there for a CPU and for others
    split = camjax.split(model, x, "branch")
    bound, _ = as_target(1, None, BATCH)
    program = jax.make_jaxpr(explain_batch, static_argnums=(0, 1, 2))(
        (split,), method, Options(size=None), params, x, bound, None, None
    )
    # Two convolutions before the layer and its own: none in the loop over channels, none again.
    assert str(program).count("conv_general_dilated[") == 3
    by_hand = camjax.explain(model, x, 1, layer=BYPASS, method=method, size=None)
    got = camjax.explain(model, x, 1, layer="branch", method=method, size=None)
    np.testing.assert_allclose(got.raw, by_hand.raw, rtol=1e-4, atol=1e-4 * jnp.abs(by_hand.raw).max())


@pytest.mark.parametrize("method", [camjax.ScoreCAM(), camjax.AblationCAM(), camjax.ReciproCAM()], ids=repr)
def test_targets_share_the_evaluations(params, x, method):
    """Twelve targets cost next to nothing more than one: masks and ablations do not depend on the target."""
    one, many = (cost(HAND, params, x, target, method=method) for target in ([[1]], [list(range(12))]))
    assert many <= 1.05 * one


def test_an_ablation_of_an_affine_head_is_one_gradient(params, x):
    def explained(head):
        model = camjax.Model(put_together(camjax.Split(features, head)), params, rewrite=False)
        program = jax.make_jaxpr(camjax.explainer(model, x, layer="body", method=camjax.AblationCAM(), size=None))
        return camjax.explain(model, x, 1, layer="body", method=camjax.AblationCAM()), str(program(model, x, 1))

    bent = lambda params, A, rest: linear_head(params, A + 1e-9 * jnp.tanh(A), rest)  # noqa: E731 - a bit beside affine
    (got, program), (want, loop) = explained(linear_head), explained(bent)
    assert "scan[" not in program
    assert "scan[" in loop
    np.testing.assert_allclose(got.weights, want.weights, rtol=1e-3, atol=1e-4 * np.abs(want.weights).max())


def test_smoothing_costs_a_forward_pass_for_each_view_but_the_input_itself(params, x):
    model = camjax.Model(put_together(HAND), params)

    def of(smoothing):
        return flops(camjax.explainer(model, x, layer="body", smoothing=smoothing, size=None), model, x, 1)

    assert of(camjax.Smoothing(flip=True)) < 2.05 * of(None)
