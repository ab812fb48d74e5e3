"""Token methods on the frameworks' own attention, unmodified, and on trained transformers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from camjax_flax import from_linen, from_nnx
from camjax_torch import from_torch
from flax import linen, nnx

import camjax
from camjax.trace import traced
from tests.adapters.flax.networks import mnist
from tests.attention import METHODS, Together
from tests.data import checkpoint

X = np.random.default_rng(0).normal(size=(1, 8, 12, 3)).astype(np.float32)


class Linen(linen.Module):
    """A class token; flax's attention."""

    @linen.compact
    def __call__(self, x):
        z = linen.Conv(8, (4, 4), (4, 4), padding="VALID")(x).reshape(len(x), -1, 8)
        token = self.param("token", linen.initializers.normal(), (1, 1, 8))
        z = jnp.concatenate([jnp.broadcast_to(token, (len(z), 1, 8)), z], 1)
        for _ in range(2):
            z = z + linen.MultiHeadDotProductAttention(2)(linen.LayerNorm()(z))
            z = z + linen.Dense(8)(linen.gelu(linen.Dense(16)(linen.LayerNorm()(z))))
        return linen.Dense(5)(linen.LayerNorm()(z)[:, 0])


class Block(nnx.Module):
    def __init__(self, rngs):
        self.norm1, self.norm2 = (nnx.LayerNorm(8, rngs=rngs) for _ in range(2))
        self.attention = nnx.MultiHeadAttention(2, 8, decode=False, rngs=rngs)
        self.mlp = nnx.Linear(8, 8, rngs=rngs)

    def __call__(self, z):
        z = z + self.attention(self.norm1(z))
        return z + nnx.gelu(self.mlp(self.norm2(z)))


class Nnx(nnx.Module):
    """No class token: the mean of the patches."""

    def __init__(self, rngs):
        self.patch = nnx.Conv(3, 8, (4, 4), (4, 4), padding="VALID", rngs=rngs)
        self.blocks = nnx.List([Block(rngs) for _ in range(2)])
        self.norm, self.head = nnx.LayerNorm(8, rngs=rngs), nnx.Linear(8, 5, rngs=rngs)

    def __call__(self, x):
        z = self.patch(x).reshape(len(x), -1, 8)
        for block in self.blocks:
            z = block(z)
        return self.head(self.norm(z).mean(1))


class Torch(torch.nn.Module):
    """PyTorch's own encoder, tokens first, the normalisation behind the sum."""

    def __init__(self):
        super().__init__()
        self.patch = torch.nn.Conv2d(3, 8, 4, 4)
        layer = torch.nn.TransformerEncoderLayer(8, 2, 16)
        self.blocks = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = torch.nn.Linear(8, 5)

    def forward(self, x):
        return self.head(self.blocks(self.patch(x).flatten(2).permute(2, 0, 1)).mean(0))


def from_linen_(x):
    return from_linen(Linen(), jax.jit(Linen().init)(jax.random.key(0), x)), x


def from_nnx_(x):
    return from_nnx(Nnx(nnx.Rngs(0))), x


def from_torch_(x):
    x = x.transpose(0, 3, 1, 2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Torch().eval()
    return from_torch(module, torch.zeros(2, *x.shape[1:])), x


@pytest.mark.parametrize(("make", "prefix"), [(from_linen_, 1), (from_nnx_, 0), (from_torch_, 0)])
def test_a_frameworks_own_attention_is_found_in_an_unmodified_model(make, prefix):
    model, x = make(X)
    trace = traced(model, x)
    split = trace.split()
    tokens = trace.attentions().over(split.axes)
    np.testing.assert_array_equal(tokens.places.ravel(), np.arange(6) + prefix)
    assert len(tokens.blocks) == 2
    assert tokens.obstacle() == ""

    @jax.jit
    def arrays(model, x):
        env = tokens.run(split, split.bound(model.params), x)
        return [operand.of(env[operand.value]) for block in tokens.blocks for operand in block]

    found = arrays(model, x)
    for q, k, v, p, out in (found[:5], found[5:]):
        assert p.shape == (2, 6 + prefix, 6 + prefix)
        scores = jnp.einsum("hid,hjd->hij", q, k)
        assert any(np.allclose(jax.nn.softmax(scores * s), p, atol=1e-5) for s in (1, 0.5))  # q may be scaled already
        np.testing.assert_allclose(out, p @ v, atol=1e-5)


def of_patches():
    """A trained transformer whose patches are cut by a reshape: 28 x 28 as 7 x 7 of 4 x 4 pixels."""
    stored = torch.load(checkpoint("mnist_vit_lucidrains-keys.pt"), weights_only=True, map_location="cpu")
    w = {name: np.asarray(array) for name, array in stored.items()}

    def norm(w, name, z):
        z = z - z.mean(-1, keepdims=True)
        z = z * jax.lax.rsqrt((z * z).mean(-1, keepdims=True) + 1e-5)
        return z * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(w, name, z):
        return z @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)

    def apply(w, x):
        z = x.reshape(-1, 7, 4, 7, 4).swapaxes(2, 3).reshape(-1, 49, 16)
        with jax.named_scope("tokens"):
            z = linear(w, "to_patch_embedding.1", z)
            z = jnp.concatenate([jnp.broadcast_to(w["cls_token"], (len(z), 1, 64)), z], 1) + w["pos_embedding"]
        for n in range(sum(name.endswith("to_qkv.weight") for name in w)):
            name = f"transformer.layers.{n}"
            y = linear(w, f"{name}.0.fn.to_qkv", norm(w, f"{name}.0.norm", z))
            q, k, v = jnp.moveaxis(y.reshape(-1, 50, 3, 4, 64), 2, 0)
            p = jax.nn.softmax(jnp.einsum("bihd,bjhd->bhij", q, k) / 8)
            z = z + linear(w, f"{name}.0.fn.to_out.0", jnp.einsum("bhij,bjhd->bihd", p, v).reshape(-1, 50, 256))
            y = jax.nn.relu(linear(w, f"{name}.1.fn.net.0", norm(w, f"{name}.1.norm", z)))
            z = z + linear(w, f"{name}.1.fn.net.3", y)
        return linear(w, "mlp_head.1", norm(w, "mlp_head.0", z[:, 0]))

    axes = {"space": 1, "grid": (7, 7), "prefix": 1, "channel": 2}
    x, _ = mnist(64)
    return camjax.Model(apply, w), (x - np.float32(0.1307)) / np.float32(0.3081), {"layer": "tokens", "axes": axes}


@pytest.mark.real
def test_on_digits_the_score_falls_further_without_the_patches_a_map_shows_than_without_any_others():
    """A quarter of the patches gives way to those of another digit, in the order of the map or at random."""
    model, x, options = of_patches()
    n, side, length = len(x), 7, 4
    run = jax.jit(lambda model, x: model(x))
    logits = np.asarray(run(model, x))
    assert (logits.argmax(1) == mnist(n)[1]).mean() >= 0.95
    patches = x.reshape(n, side, length, side, length).swapaxes(2, 3).reshape(n, side * side, length * length)
    random = np.random.default_rng(0)
    others = patches[random.permutation(n)]

    def fall(order):
        gone = np.zeros((n, side * side, 1), bool)
        np.put_along_axis(gone, order[:, : side * side // 4, None], True, 1)
        seen = np.where(gone, others, patches).reshape(n, side, side, length, length).swapaxes(2, 3).reshape(x.shape)
        return (logits.max(1) - np.asarray(run(model, seen))[np.arange(n), logits.argmax(1)]).mean()

    raw = np.asarray(camjax.explain(model, x, method=Together(), size=None, chunk=64, **options).raw)
    maps = dict(zip(METHODS, np.split(raw.reshape(n, len(METHODS), -1), len(METHODS), axis=1), strict=True))
    chance = np.mean([fall(random.random((n, side * side)).argsort(1)) for _ in range(5)])
    falls = {type(method).__name__: fall(np.argsort(-heat[:, 0], axis=1)) / chance for method, heat in maps.items()}
    assert falls["GradECLIP"] > 1.1, falls
    assert min(falls[name] for name in ("LeGrad", "GAE", "AttentionRollout")) > 1.8, falls
