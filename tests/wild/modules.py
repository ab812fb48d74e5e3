"""Flax modules as users write them: Linen and NNX, with lifted transforms, shared layers and statistics."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from camjax_flax import from_linen, from_nnx
from flax import linen as nn
from flax import nnx

from tests.wild.case import Case, entry, picture
from tests.wild.convolutional import conv, dense


def random_like(tree: Any, seed: int) -> Any:
    """Seeded values for the shapes of `tree`: variances positive, kernels that keep their input's scale."""
    rng = np.random.default_rng(seed)

    def leaf(path: Any, v: Any) -> Any:
        if "var" in jax.tree_util.keystr(path):
            return rng.uniform(0.5, 2, v.shape).astype(v.dtype)
        scale = 1 / np.sqrt(max(1, np.prod(v.shape[:-1]))) if len(v.shape) > 1 else 0.5
        return (scale * rng.normal(size=v.shape)).astype(v.dtype)

    return jax.tree.map_with_path(leaf, tree)


def variables_of(module: nn.Module, x: Any, **kwargs: Any) -> Any:
    init = jax.eval_shape(lambda key, x: module.init(key, x, **kwargs), jax.random.key(0), x)
    return random_like(init, 30)


def affine_conv(w: Any, x: Any) -> Any:
    return conv(w["kernel"], x) + w["bias"]


def _norm(w: Any, stats: Any, x: Any) -> Any:
    return (x - stats["mean"]) / jnp.sqrt(stats["var"] + 1e-5) * w["scale"] + w["bias"]


def pooled_head(w: Any, A: Any) -> Any:
    return dense(w["kernel"], w["bias"], A.mean((1, 2)))


class _Residual(nn.Module):
    """Convolution, normalisation and dropout beside a skip connection."""

    @nn.compact
    def __call__(self, x, train: bool):
        y = nn.Conv(x.shape[-1], (3, 3))(x)
        y = nn.BatchNorm(use_running_average=not train)(y)
        y = nn.Dropout(0.5, deterministic=not train)(nn.relu(y))
        return x + y


class _RematNet(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool):
        x = nn.relu(nn.Conv(6, (3, 3), name="stem")(x))
        for i in range(2):
            x = nn.remat(_Residual, static_argnums=(2,))(name=f"block{i}")(x, train)
        return nn.Dense(5, name="head")(x.mean((1, 2)))


def linen_remat() -> Case:
    """`nn.remat` around residual blocks with BatchNorm and Dropout."""
    module, x = _RematNet(), picture(2, 8, 8, 3)
    model = from_linen(module, variables_of(module, x, train=False), train=False)

    def features(v: Any, x: Any) -> Any:
        params, stats = v["params"], v["batch_stats"]
        x = jax.nn.relu(affine_conv(params["stem"], x))
        for name in ("block0", "block1"):
            y = affine_conv(params[name]["Conv_0"], x)
            x = x + jax.nn.relu(_norm(params[name]["BatchNorm_0"], stats[name]["BatchNorm_0"], y))
        return x

    return Case("nn.remat", model, x, "block1", features, lambda v, A, x: pooled_head(v["params"]["head"], A))


class _ScanBlock(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return x + nn.relu(nn.Conv(x.shape[-1], (3, 3))(x)), None


class _ScanNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(6, (3, 3), name="stem")(x))
        blocks = nn.scan(_ScanBlock, variable_axes={"params": 0}, split_rngs={"params": True}, length=4)
        x, _ = blocks(name="blocks")(x, None)
        return {"logits": nn.Dense(5, name="head")(x.mean((1, 2)))}


def linen_scan() -> Case:
    """`nn.scan`-ned blocks, and outputs in a dict."""
    module, x = _ScanNet(), picture(2, 8, 8, 3)
    model = from_linen(module, variables_of(module, x))

    def features(v: Any, x: Any) -> Any:
        params = v["params"]
        x = jax.nn.relu(affine_conv(params["stem"], x))
        for i in range(4):
            x = x + jax.nn.relu(affine_conv(entry(params["blocks"]["Conv_0"], i), x))
        return x

    def head(v: Any, A: Any, x: Any) -> Any:
        return pooled_head(v["params"]["head"], A)

    return Case("nn.scan", model, x, "blocks[3]", features, head, pick=lambda out: out["logits"])


class _SharedNet(nn.Module):
    def setup(self):
        self.stem, self.shared, self.head = nn.Conv(6, (3, 3)), nn.Conv(6, (3, 3)), nn.Dense(5)

    def __call__(self, image, question):
        x = nn.relu(self.stem(image))
        x = self.shared(nn.relu(self.shared(x)))
        return nn.softmax(self.head(jnp.concatenate([x.mean((1, 2)), question], -1)))


def linen_shared() -> Case:
    """A convolution that is called twice, a second input, and a softmax at the end."""
    module, x = _SharedNet(), (picture(2, 8, 8, 3), picture(2, 4))
    init = jax.eval_shape(module.init, jax.random.key(0), *x)
    model = from_linen(module, random_like(init, 31))

    def features(v: Any, x: Any) -> Any:
        params = v["params"]
        y = affine_conv(params["shared"], jax.nn.relu(affine_conv(params["stem"], x[0])))
        return affine_conv(params["shared"], jax.nn.relu(y))

    def head(v: Any, A: Any, x: Any) -> Any:
        w = v["params"]["head"]
        return dense(w["kernel"], w["bias"], jnp.concatenate([A.mean((1, 2)), x[1]], -1))

    return Case("shared, two inputs", model, x, "shared#1", features, head)


class _Block(nnx.Module):
    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.conv = nnx.Conv(inputs, outputs, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(outputs, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(nnx.relu(self.norm(self.conv(x))))


class _Net(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.blocks = nnx.List([_Block(3, 6, rngs), _Block(6, 6, rngs)])
        self.again = self.blocks[1]
        self.head = nnx.Linear(6, 5, rngs=rngs)

    def __call__(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(nnx.remat(lambda block, x: block(x))(self.again, x).mean((1, 2)))


def filled(module: nnx.Module, seed: int) -> nnx.Module:
    nnx.update(module, random_like(nnx.state(module, nnx.Not(nnx.RngState)), seed))
    return module


def nnx_shared() -> Case:
    """A module in training mode, with statistics and dropout; its last block has two names and two calls."""
    model = from_nnx(filled(_Net(nnx.Rngs(0)), 32))

    def features(w: Any, x: Any) -> Any:
        for block in (w["blocks"][0], w["again"], w["again"]):  # NNX keeps a shared module by its first name
            x = jax.nn.relu(_norm(block["norm"], block["norm"], affine_conv(block["conv"], x)))
        return x

    def head(w: Any, A: Any, x: Any) -> Any:
        return pooled_head(w["head"], A)

    return Case("NNX, shared block", model, picture(2, 8, 8, 3), "blocks.1#1", features, head)


class _ScanLayers(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        @nnx.split_rngs(splits=3)
        @nnx.vmap(in_axes=(0,), out_axes=0)
        def stacked(rngs: nnx.Rngs) -> _Block:
            return _Block(6, 6, rngs)

        self.stem, self.blocks = nnx.Conv(3, 6, (3, 3), rngs=rngs), stacked(rngs)
        self.head = nnx.Linear(6, 5, rngs=rngs)

    def __call__(self, x):
        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        def forward(x: Any, block: _Block) -> Any:
            return block(x)

        return self.head(forward(self.stem(x), self.blocks).mean((1, 2)))


def nnx_scan() -> Case:
    """Blocks with statistics in one `nnx.scan`."""
    model = from_nnx(filled(_ScanLayers(nnx.Rngs(0)), 33))

    def features(w: Any, x: Any) -> Any:
        x = affine_conv(w["stem"], x)
        for i in range(3):
            block = entry(w["blocks"], i)
            x = jax.nn.relu(_norm(block["norm"], block["norm"], affine_conv(block["conv"], x)))
        return x

    def head(w: Any, A: Any, x: Any) -> Any:
        return pooled_head(w["head"], A)

    return Case("nnx.scan", model, picture(2, 8, 8, 3), "blocks[2]", features, head)


CASES = [linen_remat, linen_scan, linen_shared, nnx_shared, nnx_scan]
