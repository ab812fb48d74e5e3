"""The explainer as a pure function: any batch, transformed, exported, sharded, compiled once."""

import os
import pathlib
import subprocess
import sys
import textwrap

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import camjax
from tests import models


@pytest.fixture(scope="module")
def model():
    return models.model()


@pytest.fixture(scope="module")
def f(model):
    return camjax.explainer(model, jax.ShapeDtypeStruct((1, 6, 6, 2), jnp.float32))


@pytest.fixture(scope="module")
def x():
    return models.pictures(4)


def assert_same(got, want, rtol=1e-5):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6), got, want)


def test_the_axis_of_targets_is_always_there(model, f, x):
    for target, k in ((None, 1), (2, 1), ([0, 1, 2, 3], 1), ([[0, 1]], 2), (camjax.targets.top(3), 3)):
        assert f(model, x, target).raw.shape == (4, k, 6, 6)


def test_it_agrees_with_explain(model, f, x):
    assert_same(f(model, x, [[0, 3]]), camjax.explain(model, x, [[0, 3]]))


def test_other_parameters_of_the_same_shapes(f, x):
    other = models.model(key=9)
    assert_same(f(other, x, [[0, 3]]), camjax.explain(other, x, [[0, 3]]))


def test_jit_vmap_and_grad(model, f, x):
    want = f(model, x, [[1]])
    assert_same(jax.jit(f)(model, x, jnp.array([[1]])), want)
    stacked = jnp.stack([x, x[::-1]])
    mapped = jax.vmap(lambda x: f(model, x, [[1]]))(stacked)
    assert_same(jax.tree.map(lambda leaf: leaf[1, ::-1], mapped), want)
    gradient = jax.grad(lambda x: f(model, x, [[1]]).raw.sum())(x)
    assert_same(gradient, jax.grad(lambda x: camjax.explain(model, x, 1).raw.sum())(x))


def test_a_symbolic_batch_can_be_exported(model, f, x):
    batch = export.symbolic_shape("b")[0]
    specs = (
        jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), model.params),
        jax.ShapeDtypeStruct((batch, 6, 6, 2), jnp.float32),
        jax.ShapeDtypeStruct((batch, 2), jnp.int32),
    )

    def run(params, x, target):
        return tuple(f(camjax.Model(model.apply, params), x, target))

    exported = export.export(jax.jit(run))(*specs)
    for size in (1, 3):
        classes = jnp.arange(2 * size).reshape(size, 2) % 4
        got = exported.call(model.params, x[:size], classes)
        assert_same(got, tuple(f(model, x[:size], classes)))


def test_it_never_raises_for_values(model, f, x):
    got = f(model, x.at[0].set(jnp.nan), [[0], [1], [9], [1]])
    np.testing.assert_array_equal(got.status[:, 0], [4, 0, 8, 0])


def test_an_input_or_a_model_of_other_shapes_is_refused(model, f, x):
    with pytest.raises(
        ValueError, match=r"x: the explainer was made for one example of shapes \(6, 6, 2\), got \(5, 6, 2\)"
    ):
        f(model, x[:, :5], 1)
    with pytest.raises(
        ValueError, match=r"model: the explainer was made for the parameters of shapes .* another explainer"
    ):
        f(models.model(channels=3), x, 1)


class Count:
    """Counts traces and compilations by jax's own events."""

    def __enter__(self):
        self.events = []
        jax.monitoring.register_event_duration_secs_listener(self.listen)
        return self

    def __exit__(self, *_):
        jax.monitoring.unregister_event_duration_listener(self.listen)

    def listen(self, event, duration, **_):
        self.events.append(event)

    @property
    def compilations(self):
        return sum("backend_compile" in event for event in self.events)

    @property
    def traces(self):
        return sum("jaxpr_trace" in event for event in self.events)


def test_a_second_call_compiles_nothing_and_neither_does_another_class(x):
    def apply(params, x):  # a new function: nothing of it is compiled yet
        return models.pooled_head(params, *models.features(params, x))

    model = camjax.Model(apply, models.params(key=3), labels=tuple("abcd"))
    same_apply = camjax.Model(apply, models.params(key=4), labels=tuple("abcd"))
    jax.block_until_ready(x)
    for first, others in (
        (1, (2, "d", np.int64(3))),
        ([[0, 1]], ([[2, 3]], ["a", "c"])),
        ([0, 1, 2, 3], (np.array([3, 2, 1, 0]),)),
        (None, (None,)),
        (camjax.targets.negated(0), (camjax.targets.negated("c"),)),
    ):
        with Count() as count:
            camjax.explain(model, x, first)
        assert count.compilations >= 1  # so the counter counts
        with Count() as count:
            camjax.explain(model, x, first)
            for other in others:
                camjax.explain(same_apply, x, other, method=camjax.GradCAM())
        assert (count.compilations, count.traces) == (0, 0)


def test_batches_from_1_to_64_trace_the_model_once(x):
    calls = []

    def apply(params, x):
        calls.append(x.shape[0])
        return models.pooled_head(params, *models.features(params, x))

    model = camjax.Model(apply, models.params())
    for batch in (1, 2, 3, 64):
        inputs = jnp.broadcast_to(x[:1], (batch, 6, 6, 2))
        got = camjax.explain(model, inputs, 1)
        np.testing.assert_allclose(got.raw, jnp.broadcast_to(got.raw[:1], got.raw.shape), rtol=1e-5)
    # Once for one example, and once for two to see which outputs have a batch axis: never again.
    assert calls == [1, 2]


def test_it_follows_the_sharding_of_its_input_without_communication():
    code = """
        import jax, jax.numpy as jnp, numpy as np, camjax
        from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
        from tests import models
        assert len(jax.devices()) == 2
        mesh = Mesh(np.array(jax.devices()), ("batch",))
        model, x = models.model(), models.pictures(4)
        f = camjax.explainer(model, x)
        want = f(model, x, [[0, 1]])
        spread = jax.device_put(x, NamedSharding(mesh, P("batch")))
        everywhere = jax.device_put(model, NamedSharding(mesh, P()))
        jitted = jax.jit(lambda m, x: f(m, x, [[0, 1]]))
        got = jitted(everywhere, spread)
        assert got.raw.sharding.spec[0] == "batch", got.raw.sharding
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), got, want)
        text = jitted.lower(everywhere, spread).compile().as_text()
        assert not any(word in text for word in ("all-reduce", "all-gather", "all-to-all", "collective-permute"))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"},
        cwd=pathlib.Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
