import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax._postprocess import normalised, to_heatmap, upsample
from tests import models


def bilinear(values, n):
    """One axis, literally: half-pixel centres, the nearest two samples, the edge repeated."""
    out = []
    for i in range(n):
        position = (i + 0.5) * len(values) / n - 0.5
        low = int(np.floor(position))
        part = position - low
        a, b = (values[min(max(j, 0), len(values) - 1)] for j in (low, low + 1))
        out.append((1 - part) * a + part * b)
    return np.array(out)


@pytest.mark.parametrize(
    ("shape", "size"), [((5,), (13,)), ((4, 3), (9, 16)), ((2, 3, 4), (5, 6, 9)), ((6, 6), (3, 4))]
)
def test_upsampling_is_half_pixel_bilinear_in_any_number_of_axes(shape, size):
    maps = np.random.default_rng(0).normal(size=shape)
    want = maps
    for axis, n in enumerate(size):
        want = np.apply_along_axis(bilinear, axis, want, n)
    np.testing.assert_allclose(upsample(jnp.asarray(maps, jnp.float32), size), want, atol=1e-5)


def test_the_maximum_is_taken_after_upsampling():
    raw = jnp.array([0.0, 1.0, 1.0, 0.0, 5.0, 0.0])
    heat = to_heatmap(raw, (12,))
    assert heat.max() == 1
    assert upsample(raw, (12,)).max() < 5


def test_relu_comes_first():
    np.testing.assert_allclose(to_heatmap(jnp.array([-4.0, 2.0]), (4,)), [0, 0.25 / 1, 0.75, 1], atol=1e-6)


@pytest.mark.parametrize("how", ["max", "minmax"])
@pytest.mark.parametrize("values", [[0.0, 0.0], [-1.0, -2.0], [1e-45, 0.0]])
def test_a_map_without_evidence_is_zero_and_so_is_its_gradient(how, values):
    raw = jnp.array(values)
    assert (to_heatmap(raw, (4,), how) == 0).all()
    gradient = jax.grad(lambda r: to_heatmap(r, (4,), how).sum())(raw)
    assert jnp.isfinite(gradient).all()


def test_a_nan_is_not_taken_for_an_empty_map():
    assert jnp.isnan(normalised(jnp.array([1.0, jnp.nan]), "max")).all()


def test_minmax_and_none():
    maps = jnp.array([1.0, 2.0, 5.0])
    np.testing.assert_allclose(normalised(maps, "minmax"), [0, 0.25, 1])
    np.testing.assert_array_equal(normalised(maps, None), maps)


def test_a_heatmap_can_be_made_later():
    model, x = models.model(), models.pictures()
    for target in (1, [[0, 1]]):
        small = camjax.explain(model, x, target, layer=models.POOLED, size=None)
        assert small.heatmap is None
        want = camjax.explain(
            model, x, target, layer=models.POOLED, size=(11, 13), upsampling="nearest", normalize="minmax"
        )
        got = camjax.heatmap(small, (11, 13), upsampling="nearest", normalize="minmax")
        np.testing.assert_allclose(got, want.heatmap, atol=1e-6)


def test_sizes_that_do_not_fit():
    model, x = models.model(), models.pictures()
    small = camjax.explain(model, x, 1, layer=models.POOLED, size=None)
    with pytest.raises(ValueError, match=r"2 space axes \(shape \(6, 6\)\), got size=\(11,\); give one length"):
        camjax.heatmap(small, (11,))
    with pytest.raises(ValueError, match=r"size: got \(11,\), but the layer's maps \(6, 6\) have 2 space axes"):
        camjax.explain(model, x, 1, layer=models.POOLED, size=(11,))
    with pytest.raises(ValueError, match=r"size: got 'big', expected 'input', None"):
        camjax.explain(model, x, 1, layer=models.POOLED, size="big")
