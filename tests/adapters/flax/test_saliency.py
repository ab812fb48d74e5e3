"""Backward rules on unmodified Linen modules, whose ReLUs lie in scans, rematerialised blocks and functions."""

import camjax_flax
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

import camjax
from camjax.saliency import GuidedBackprop

WIDTH = 24  # of fewer units none may be left that has a positive gradient all the way


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        x = nn.relu(nn.LayerNorm(name="norm")(nn.Dense(WIDTH, name="first")(x)))
        return nn.relu6(nn.Dense(WIDTH, name="second")(x)), None


class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
        blocks = nn.scan(nn.remat(Block), variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        x, _ = blocks(name="blocks")(x, None)
        return nn.Dense(2, name="out")(x)


def dense(params, x):
    return x @ params["kernel"] + params["bias"]


def by_hand(params, x):
    """The same with the rule written out."""

    @jax.custom_vjp
    def ramp(z, cap):
        return jnp.clip(z, 0, cap)

    def back(residual, g):
        z, cap = residual
        return jnp.where((z > 0) & (z < cap) & (g > 0), g, 0), None

    ramp.defvjp(lambda z, cap: (ramp(z, cap), (z, cap)), back)
    blocks = params["blocks"]
    for i in range(3):
        block = jax.tree.map(lambda p, i=i: p[i], blocks)
        z = nn.LayerNorm().apply({"params": block["norm"]}, dense(block["first"], x))
        x = ramp(dense(block["second"], ramp(z, jnp.inf)), 6.0)
    return dense(params["out"], x)


def test_guided_backpropagation_through_scanned_and_rematerialised_blocks():
    x = jax.random.normal(jax.random.key(1), (2, WIDTH))
    variables = Network().init(jax.random.key(0), x)
    model = camjax_flax.from_linen(Network(), variables)
    found = camjax.attribute(model, x, 0, method=GuidedBackprop()).values
    np.testing.assert_allclose(model(x), by_hand(variables["params"], x), rtol=1e-5)
    want = jax.grad(lambda x: by_hand(variables["params"], x)[:, 0].sum())(x)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5 * float(jnp.abs(want).max()))
    plain = camjax.attribute(model, x, 0).values
    assert float(jnp.abs(plain - found).max()) > 0.05 * float(jnp.abs(found).max())
