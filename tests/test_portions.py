"""Batches of which a CPU takes a part at a time: the results are those of the whole, and less memory is needed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import _portions, targets
from tests.models import conv

SIZE = 16 * 16 * 3
cpu = pytest.mark.skipif(jax.default_backend() != "cpu", reason="other platforms take all at once")


def apply(params, x):
    for name, kernel in params["stages"].items():
        with jax.named_scope(name):
            x = jax.nn.relu(conv(x, kernel, 2))
    return jnp.tanh(x.mean((1, 2)) @ params["hidden"]) @ params["out"]


def weights(*shape):
    return jnp.asarray(np.random.default_rng(len(shape)).normal(size=shape), jnp.float32)


MODEL = camjax.Model(
    apply,
    {
        "stages": {"one": weights(3, 3, 3, 8), "two": weights(3, 3, 8, 12)},
        "hidden": weights(12, 16),
        "out": weights(16, 8),
    },
)


@pytest.fixture
def portions_of(monkeypatch):
    """Sets how many pictures of 16x16 run at a time; what was traced before, of other numbers, is forgotten."""

    def set_most(count):
        jax.clear_caches()
        monkeypatch.setattr("camjax._options.entries", lambda: None if count is None else count * SIZE)

    return set_most


def pictures(batch):
    return jnp.asarray(np.random.default_rng(0).uniform(size=(batch, 16, 16, 3)), jnp.float32)


# Of each way in which targets, keys and evaluations depend on the example, one.
CASES = {
    "one class": ({}, lambda batch: 1),
    "its own class each": ({}, lambda batch: jnp.arange(batch) % 8),
    "all classes": ({"size": None}, lambda batch: jnp.arange(8)[None]),
    "all, in its own order": ({}, lambda batch: (jnp.arange(8)[None] + jnp.arange(batch)[:, None]) % 8),
    "predicted": ({}, lambda batch: None),
    "the best three": ({}, lambda batch: targets.top(3)),
    "noise by id": ({"method": camjax.SmoothGradCAMPlusPlus(samples=2)}, lambda batch: 1),
    "the model": ({"method": camjax.ScoreCAM(), "strict": False}, lambda batch: 1),
    "the head": ({"method": camjax.AblationCAM()}, lambda batch: 1),
    "several layers": ({"layer": ["one", "two"]}, lambda batch: 1),
}


@pytest.mark.parametrize("batch", [8, 11], ids=["even", "a row over"])
@pytest.mark.parametrize("case", CASES)
def test_portions_change_nothing(portions_of, case, batch):
    options, target = CASES[case]
    x, key = pictures(batch), jax.random.key(3)
    portions_of(None)
    whole = camjax.explain(MODEL, x, target(batch), key=key, **options)
    portions_of(4)
    parts = camjax.explain(MODEL, x, target(batch), key=key, **options)
    assert jax.tree.structure(parts) == jax.tree.structure(whole)
    for got, expected in zip(jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("cores", "batch", "count"), [
    (1, 4, None), (1, 7, None), (1, 8, 2), (1, 9, 3), (1, 10, 5), (1, 25, 7), (2, 7, None), (2, 9, 5), (4, 9, 3),
    (8, 9, 3),
])  # fmt: skip
def test_a_batch_is_divided_into_equal_portions(portions_of, monkeypatch, cores, batch, count):
    monkeypatch.setattr(_portions, "cores", lambda: cores)
    portions_of(4)  # or two or three, where so fewer rows are computed in vain; of two cores each has as many
    f = camjax.explainer(MODEL, pictures(1))
    text = str(jax.make_jaxpr(f)(MODEL, pictures(batch), 1))
    assert text.count(" scan[") == (count is not None)
    assert count is None or f"length={count}" in text


def test_a_portion_of_wide_maps_fits_into_memory_that_is_kept(monkeypatch):
    entries, x = 8 * SIZE, pictures(1)
    widest = camjax.split(MODEL, x).widest
    assert widest == SIZE * 4  # wider than the first stage, of 8x8x8
    monkeypatch.setattr(_portions, "cores", lambda: 2)
    for kept, count in ((16, 8), (7, 7), (2, 2), (1, 8)):  # as many examples fit; of fewer than cores, nothing is won
        monkeypatch.setattr(_portions, "_KEPT", 2 * kept * widest)
        assert _portions.most(entries, x, widest) == count
    assert _portions.most(entries, x, 0) == 8  # unknown, as of a split by hand
    assert camjax.Split(lambda params, x: (x, None), lambda params, A, rest: A).widest == 0


def test_several_layers_and_many_targets_are_not_divided_by_the_widest_map():
    split = camjax.split(MODEL, pictures(1))
    assert _portions.widest((split,), 1) == _portions.widest((split,), 16) == split.widest
    assert _portions.widest((split, split), 1) == _portions.widest((split,), 1000) == 0


def test_explaining_divides_batches_by_the_widest_map(portions_of, monkeypatch):
    portions_of(8)
    monkeypatch.setattr(_portions, "cores", lambda: 2)
    monkeypatch.setattr(_portions, "_KEPT", 2 * 2 * camjax.split(MODEL, pictures(1)).widest)
    text = str(jax.make_jaxpr(camjax.explainer(MODEL, pictures(1)))(MODEL, pictures(8), 1))
    assert "length=4" in text


def test_memory_is_that_of_a_portion(portions_of):
    x, taken = pictures(64), {}
    for count in (None, 4):
        portions_of(count)
        compiled = jax.jit(camjax.explainer(MODEL, x)).lower(MODEL, x, 1).compile()
        taken[count] = compiled.memory_analysis().temp_size_in_bytes
    assert taken[4] < taken[None] / 4


def test_the_gradients_and_the_batching_of_an_explainer_go_through_portions(portions_of):
    x = pictures(8)

    def heat(x):
        return camjax.explainer(MODEL, x, normalize=None)(MODEL, x, 1).heatmap.sum()

    portions_of(None)
    one, mapped = jax.grad(heat)(x), jax.vmap(heat)(x[None])
    portions_of(3)
    np.testing.assert_allclose(jax.grad(heat)(x), one, rtol=1e-4, atol=1e-5 * float(jnp.abs(one).max()))
    np.testing.assert_allclose(jax.vmap(heat)(x[None]), mapped, rtol=1e-4)


def test_a_chunk_of_the_users_leaves_the_batch_whole(portions_of):
    portions_of(4)
    f = camjax.explainer(MODEL, pictures(1), chunk=64)
    assert " scan[" not in str(jax.make_jaxpr(f)(MODEL, pictures(32), 1))


@cpu
def test_a_cpu_takes_four_pictures_a_core(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    entries = _portions.entries()
    assert entries is not None
    assert entries % _portions.PER_CORE == 0
    assert _portions.most(_portions.PER_CORE, jnp.zeros((1, 224, 224, 3))) == 4
    assert _portions.most(_portions.PER_CORE, jnp.zeros((1, 2048, 2048, 3))) == 1


def test_accelerators_and_several_devices_take_all_at_once(monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    assert _portions.entries() is None
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert _portions.entries() is None
    assert _portions.most(None, jnp.zeros((1, 2))) is None
