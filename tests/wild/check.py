"""One check for every model of this folder."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import camjax
from tests.wild.case import Case, grad_cam


def check(case: Case, layer: str | None = None) -> camjax.Explanation:
    """The expected layer is the default one, and its Grad-CAM equals the hand-written one.

    With `layer` that layer is explained, whatever the default is.
    """
    listed = camjax.layers(case.model, case.x)
    if layer is None:
        assert listed.default is not None, f"no default layer:\n{listed}"
        assert case.layer in (listed.default.name, *listed.default.aliases), f"another default:\n{listed}"

    batch = len(jax.tree.leaves(case.x)[0])
    outputs = jax.eval_shape(lambda model, x: model(x), case.model, case.x)
    if isinstance(outputs, jax.ShapeDtypeStruct):
        target = classes = 1 + np.arange(batch, dtype=np.int32) % 3
    else:
        target, classes = (lambda outputs: case.pick(outputs)[2]), np.full(batch, 2)
    weights, raw, score = grad_cam(case, classes)
    found = camjax.explain(case.model, case.x, target, layer=layer, size=None)
    assert {found.raw.dtype, found.weights.dtype, found.score.dtype} == {jnp.dtype(jnp.float32)}
    assert np.abs(raw).max() > 1e-3, "a map of zeros shows nothing"
    for ours, expected in ((found.raw, raw), (found.weights, weights), (found.score, score)):
        np.testing.assert_allclose(ours, expected, atol=case.tolerance * np.abs(expected).max(), rtol=0)
    assert not (found.status & ~int(camjax.Status.EMPTY)).any()
    return found
