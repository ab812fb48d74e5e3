"""Flax modules that are called in other ways than by `__call__` on one picture: mapped, by method, with state."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from camjax_flax import from_linen, from_nnx
from flax import linen as nn
from flax import nnx

from tests.wild.case import Case, picture
from tests.wild.convolutional import conv
from tests.wild.modules import affine_conv, filled, pooled_head, random_like, variables_of


class _Stem(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.relu(nn.Conv(6, (3, 3))(x))


class _Film(nn.Module):
    """One network for every frame, then the mean over all of them."""

    @nn.compact
    def __call__(self, x):
        frames = nn.vmap(_Stem, in_axes=1, out_axes=1, variable_axes={"params": None}, split_rngs={"params": False})
        return nn.Dense(5, name="head")(frames(name="frames")(x).mean((1, 2, 3)))


def linen_vmap() -> Case:
    """`nn.vmap` over an axis of the input, which is one of the map's."""
    module, x = _Film(), picture(2, 3, 8, 8, 3)
    model = from_linen(module, variables_of(module, x))

    def features(v: Any, x: Any) -> Any:
        w = v["params"]["frames"]["Conv_0"]
        return jax.nn.relu(jnp.stack([affine_conv(w, x[:, t]) for t in range(3)], 1))

    def head(v: Any, A: Any, x: Any) -> Any:
        w = v["params"]["head"]
        return A.mean((1, 2, 3)) @ w["kernel"] + w["bias"]

    return Case("nn.vmap", model, x, "frames", features, head)


class _Encoder(nn.Module):
    def setup(self):
        self.convs = [nn.Conv(6, (3, 3)), nn.Conv(6, (3, 3))]
        self.calls = self.variable("counters", "calls", lambda: jnp.zeros(()))

    def encode(self, x):
        self.calls.value += 1
        for layer in self.convs:
            x = nn.relu(layer(x))
        return x * self.calls.value


class _Methods(nn.Module):
    def setup(self):
        self.encoder, self.classifier = _Encoder(), nn.Dense(5)

    def logits(self, x):
        return self.classifier(self.encoder.encode(x).mean((1, 2)))


def linen_methods() -> Case:
    """No `__call__` anywhere, and a collection that every call changes and reads."""
    module, x = _Methods(), picture(2, 8, 8, 3)
    init = jax.eval_shape(lambda: module.init(jax.random.key(0), x, method="logits"))
    model = from_linen(module, random_like(init, 34), method="logits", mutable=("counters",))

    def features(v: Any, x: Any) -> Any:
        w = v["params"]["encoder"]
        for name in ("convs_0", "convs_1"):
            x = jax.nn.relu(affine_conv(w[name], x))
        return x * (v["counters"]["encoder"]["calls"] + 1)

    def head(v: Any, A: Any, x: Any) -> Any:
        return pooled_head(v["params"]["classifier"], A)

    return Case("Linen methods, a mutable collection", model, x, "encoder.encode", features, head)


class _Trunk(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        shape = {"kernel_size": (3, 3), "dtype": jnp.bfloat16, "param_dtype": jnp.bfloat16, "rngs": rngs}
        self.convs = nnx.List([nnx.Conv(3, 6, **shape), nnx.Conv(6, 6, **shape)])

    def encode(self, x):
        for layer in self.convs:
            x = nnx.relu(layer(x))
        return x


class _Brain(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.trunk = _Trunk(rngs)
        self.kernel = nnx.Param(jnp.zeros((6, 5), jnp.bfloat16))

    def score(self, x):
        return self.trunk.encode(x).mean((1, 2)) @ self.kernel[...]


def nnx_methods() -> Case:
    """Custom calls, a weight of the model's own, everything kept in bfloat16."""
    model = from_nnx(filled(_Brain(nnx.Rngs(0)), 35), method="score")
    assert {leaf.dtype for leaf in jax.tree.leaves(model)} == {np.dtype(jnp.bfloat16)}

    def features(w: Any, x: Any) -> Any:
        for i in (0, 1):
            x = jax.nn.relu(conv(w["trunk"]["convs"][i]["kernel"], x) + w["trunk"]["convs"][i]["bias"])
        return x

    def head(w: Any, A: Any, x: Any) -> Any:
        return A.mean((1, 2)) @ w["kernel"]

    x = jnp.asarray(picture(2, 8, 8, 3), jnp.bfloat16)
    return Case("NNX methods, bfloat16", model, x, "trunk.encode", features, head, tolerance=0.05)


CASES = [linen_vmap, linen_methods, nnx_methods]
