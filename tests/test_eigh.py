"""Decompositions of a batch: what they give, and that on a CPU no thread waits for others of its pool."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax._eigh import eigh
from tests import models


def gram(batch, n):
    rows = np.random.default_rng(0).normal(size=(batch, n, n + 2))
    return jnp.asarray(rows @ rows.transpose(0, 2, 1), jnp.float32)


@pytest.mark.parametrize("jit", [False, True])
def test_a_batch_is_decomposed_as_jax_does(jit):
    matrices = gram(5, 6)
    mapped = jax.vmap(jax.vmap(eigh))
    values, vectors = (jax.jit(mapped) if jit else mapped)(matrices[None])
    want = jnp.linalg.eigh(matrices)
    chex.assert_trees_all_close(values[0], want[0], rtol=1e-5)
    again = vectors[0] * values[0][:, None] @ jnp.swapaxes(vectors[0], 1, 2)
    chex.assert_trees_all_close(again, matrices, atol=1e-4)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="on a CPU alone jaxlib divides a batch among threads")
@pytest.mark.parametrize("method", [camjax.EigenCAM(), camjax.EigenGradCAM(), camjax.KPCACAM(), camjax.Principal()])
def test_compiled_for_a_cpu_no_decomposition_has_a_batch(method):
    model, x = models.model(), models.pictures(7)
    explain = camjax.explainer(model, x, method=method)
    text = jax.jit(explain).lower(model, x).compile().as_text()
    found = re.findall(r"= \(f\d+\[([\d,]+)\].*lapack_\w*syevd", text)
    assert found
    assert {len([side for side in shape.split(",") if side != "1"]) for shape in found} == {2}
