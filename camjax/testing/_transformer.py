"""A small vision transformer with random weights, to try token methods on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax._model import Model

if TYPE_CHECKING:
    from jaxtyping import Array, Float

_EPSILON = 1e-6


@dataclasses.dataclass(frozen=True)
class _Transformer:
    """z = [tokens, patches W] + positions; per block z += attention(norm z), z += mlp(norm z); then norm, read, matrix.

    Two that are alike are equal, and share what is traced and compiled.
    """

    heads: int
    patch: int
    pool: bool

    def __call__(self, params: Any, x: Float[Array, "B h w c"]) -> Float[Array, "B classes"]:
        with jax.named_scope("embed"):
            numbers = ("NHWC", "HWIO", "NHWC")
            strides = (self.patch, self.patch)
            z = jax.lax.conv_general_dilated(x, params["patch"], strides, "VALID", dimension_numbers=numbers)
            z = z.reshape(len(x), -1, z.shape[-1])
            extra = jnp.broadcast_to(params["tokens"][None], (len(x), *params["tokens"].shape))
            z = jnp.concatenate([extra, z], 1) + params["positions"][None]
        for number, w in enumerate(params["blocks"]):
            with jax.named_scope(f"blocks.{number}.norm1"):
                y = normalised(z)
            with jax.named_scope(f"blocks.{number}.attn"):
                z = z + self.attention(w, y)
            with jax.named_scope(f"blocks.{number}.mlp"):
                z = z + jax.nn.gelu(normalised(z) @ w["up"]) @ w["down"]
        with jax.named_scope("norm"):
            z = normalised(z)
        with jax.named_scope("head"):
            n = len(params["tokens"])
            return (z[:, n:].mean(1) if self.pool else z[:, 0]) @ params["head"]

    def attention(self, w: Any, y: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """The heads' results side by side, mixed."""
        q, k, v = (jnp.reshape(y @ w[name], (*y.shape[:2], self.heads, -1)) for name in "qkv")
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / jnp.sqrt(jnp.asarray(q.shape[-1], y.dtype))
        return jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v).reshape(y.shape) @ w["out"]


def normalised(z: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
    """The layer normalisation, without weights."""
    z = z - z.mean(-1, keepdims=True)
    return z * jax.lax.rsqrt((z * z).mean(-1, keepdims=True) + _EPSILON)


def tiny_transformer(
    seed: int = 0,
    *,
    blocks: int = 2,
    heads: int = 2,
    width: int = 8,
    patch: int = 4,
    grid: tuple[int, int] = (2, 3),
    registers: int = 0,
    pool: bool = False,
    classes: int = 5,
) -> Model:
    """A vision transformer with random weights, for pictures `[B, h * patch, w * patch, 3]`: to test token methods.

    Args:
        seed: of the weights, which are float64 in x64 mode, else float32.
        blocks: how many.
        heads: of each block's attention.
        width: the number of channels.
        patch: the side of a patch.
        grid: how many patches there are, `(h, w)`.
        registers: how many tokens stand beside the class token in front of the patches.
        pool: whether the classifier reads the mean of the patches in the place of the class token.
        classes: how many.

    >>> model = tiny_transformer(registers=1)
    >>> model(jnp.ones((4, 8, 12, 3))).shape
    (4, 5)
    """
    random = np.random.default_rng(seed)

    def w(*shape: int) -> Any:
        return jnp.asarray(random.normal(size=shape) / np.sqrt(np.prod(shape[:-1])), float)

    def block() -> dict[str, Any]:
        square = {name: w(width, width) for name in ("q", "k", "v", "out")}
        return {**square, "up": w(width, 2 * width), "down": w(2 * width, width)}

    tokens = 1 + registers
    params = {
        "patch": w(patch, patch, 3, width),
        "tokens": w(tokens, width),
        "positions": w(tokens + grid[0] * grid[1], width),
        "blocks": [block() for _ in range(blocks)],
        "head": w(width, classes),
    }
    return Model(_Transformer(heads, patch, pool), params)
