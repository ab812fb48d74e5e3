import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import Axes, Split
from tests import models


def test_the_default_layout_is_channels_last():
    assert models.POOLED.layout((1, 6, 6, 5)) == Axes.of((1, 6, 6, 5))


def test_a_dict_is_a_layout_and_leaves_the_split_hashable():
    split = Split(models.features, models.pooled_head, axes={"space": [2, 3], "channel": 1})
    assert split.layout((1, 5, 6, 6)) == Axes.of((1, 5, 6, 6), space=(2, 3), channel=1)
    assert hash(split) == hash(Split(models.features, models.pooled_head, axes={"channel": 1, "space": (2, 3)}))


def test_a_value_without_space_is_refused():
    with pytest.raises(ValueError, match=r"layer fc: .* got shape \(1, 10\), which has no space axis"):
        Split(models.features, models.pooled_head, name="fc").layout((1, 10))


def test_axes_of_another_value_are_refused():
    with pytest.raises(ValueError, match=r"describe a value of shape \(1, 6, 6, 5\), got a layer .* \(1, 7, 7, 5\)"):
        Split(models.features, models.pooled_head, axes=Axes.of((1, 6, 6, 5))).layout((1, 7, 7, 5))


def test_outputs_without_a_batch_axis_are_handed_over_as_they_are():
    def head(params, A, rest):
        return {"logits": A.mean((1, 2)) @ params["matrix"], "scale": params["scale"]}

    split = Split(models.features, head, batched=(True, False))
    model = models.model()
    params = {**model.params, "scale": jnp.arange(4.0)}
    got = camjax.explain(
        camjax.Model(model.apply, params),
        models.pictures(),
        lambda out: (out["logits"] * out["scale"]).sum(),
        layer=split,
    )
    want = model(models.pictures()) @ params["scale"]
    np.testing.assert_allclose(got.score, want, rtol=1e-6)


def test_a_bypass_reaches_the_head():
    def features(params, x):
        return models.features(params, x)[0], x

    def head(params, A, rest):
        return models.pooled_head(params, A, None) + rest.mean((1, 2))[:, :1]

    model, x = models.model(), models.pictures()
    got = camjax.explain(model, x, [[0, 1]], layer=Split(features, head))
    np.testing.assert_allclose(got.score, (model(x) + x.mean((1, 2))[:, :1])[:, :2], rtol=1e-5)


def test_axes_can_be_given_beside_a_split():
    model, x = models.model(), models.pictures()

    def features(params, x):
        return models.features(params, x)[0].transpose(0, 3, 1, 2), None

    split = Split(features, lambda params, A, rest: models.pooled_head(params, A.transpose(0, 2, 3, 1), rest))
    got = camjax.explain(model, x, 1, layer=split, axes={"space": (2, 3), "channel": 1})
    want = camjax.explain(model, x, 1, layer=models.POOLED)
    np.testing.assert_allclose(got.raw, want.raw, rtol=1e-5, atol=1e-6)
