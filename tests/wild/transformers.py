"""Vision transformers as plain functions: a class token, registers with mean pooling, blocks in a scan."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, named_scope

from camjax import Model
from tests.wild.case import Case, Weights, entry, picture
from tests.wild.convolutional import dense

_WIDTH, _HEADS, _BLOCKS, _GRID = 12, 3, 3, (3, 4)


def _params(seed: int, prefix: int) -> dict[str, Any]:
    w = Weights(seed)

    def block() -> dict[str, Any]:
        return {
            "norm1": (1 + w(_WIDTH), w(_WIDTH)),
            "qkv": (w(_WIDTH, 3 * _WIDTH), w(3 * _WIDTH)),
            "proj": (w(_WIDTH, _WIDTH), w(_WIDTH)),
            "norm2": (1 + w(_WIDTH), w(_WIDTH)),
            "fc1": (w(_WIDTH, 2 * _WIDTH), w(2 * _WIDTH)),
            "fc2": (w(2 * _WIDTH, _WIDTH), w(_WIDTH)),
        }

    return {
        "patch": w(4, 4, 3, _WIDTH),
        "tokens": w(1, prefix, _WIDTH),
        "positions": w(1, prefix + _GRID[0] * _GRID[1], _WIDTH),
        "blocks": [block() for _ in range(_BLOCKS)],
        "norm": (1 + w(_WIDTH), w(_WIDTH)),
        "head": (w(_WIDTH, 5), w(5)),
    }


def _norm(w: Any, x: Any) -> Any:
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-6) * w[0] + w[1]


def _attention(w: Any, x: Any) -> Any:
    batch, tokens, width = x.shape
    q, k, v = jnp.moveaxis(dense(*w["qkv"], x).reshape(batch, tokens, 3, _HEADS, -1), 2, 0)
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / (width // _HEADS) ** 0.5
    return dense(*w["proj"], jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v).reshape(x.shape))


def _embed(w: Any, x: Any) -> Any:
    """Patches by a strided convolution, extra tokens in front, positions added."""
    spec = ("NHWC", "HWIO", "NHWC")
    x = lax.conv_general_dilated(x, w["patch"], (4, 4), "VALID", dimension_numbers=spec)
    x = x.reshape(x.shape[0], -1, _WIDTH)
    tokens = jnp.broadcast_to(w["tokens"], (x.shape[0], *w["tokens"].shape[1:]))
    return jnp.concatenate([tokens, x], 1) + w["positions"]


def _after_norm1(w: Any, x: Any, A: Any) -> Any:
    """What a block makes of its input `x` when its first norm has the value `A`."""
    x = x + _attention(w, A)
    return x + dense(*w["fc2"], jax.nn.gelu(dense(*w["fc1"], _norm(w["norm2"], x))))


def _block(w: Any, x: Any) -> Any:
    return _after_norm1(w, x, _norm(w["norm1"], x))


def _scoped_block(w: Any, x: Any) -> Any:
    """The same with the names that a user gives."""
    with named_scope("norm1"):
        y = _norm(w["norm1"], x)
    with named_scope("attn"):
        x = x + _attention(w, y)
    with named_scope("norm2"):
        y = _norm(w["norm2"], x)
    with named_scope("mlp"):
        return x + dense(*w["fc2"], jax.nn.gelu(dense(*w["fc1"], y)))


def _grid(prefix: int) -> Any:
    return lambda A: A[:, prefix:].reshape(A.shape[0], *_GRID, _WIDTH)


def _before_last(w: Any, x: Any) -> Any:
    x = _embed(w, x)
    for block in w["blocks"][:-1]:
        x = _block(block, x)
    return x


def _class_token_split() -> tuple[Any, Any]:
    """At the last block's first norm, whose residual branch goes by."""

    def features(w: Any, x: Any) -> Any:
        return _norm(w["blocks"][-1]["norm1"], _before_last(w, x))

    def head(w: Any, A: Any, x: Any) -> Any:
        x = _after_norm1(w["blocks"][-1], _before_last(w, x), A)
        return dense(*w["head"], _norm(w["norm"], x)[:, 0])

    return features, head


def class_token() -> Case:
    def apply(w: Any, x: Any) -> Any:
        with named_scope("embed"):
            x = _embed(w, x)
        for i, block in enumerate(w["blocks"]):
            with named_scope(f"blocks.{i}"):
                x = _scoped_block(block, x)
        with named_scope("norm"):
            x = _norm(w["norm"], x)
        with named_scope("head"):
            return dense(*w["head"], x[:, 0])

    model, x = Model(apply, _params(0, 1)), picture(2, 12, 16, 3)
    return Case("class token", model, x, "blocks.2.norm1", *_class_token_split(), _grid(1))


def scanned_class_token() -> Case:
    """The blocks' weights stacked, the blocks in one rematerialised scan."""
    case = class_token()
    params = {**case.model.params}
    params["blocks"] = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params["blocks"])

    def apply(w: Any, x: Any) -> Any:
        with named_scope("embed"):
            x = _embed(w, x)

        @jax.checkpoint
        def body(x: Any, block: Any) -> tuple[Any, None]:
            with named_scope("blocks"):
                return _scoped_block(block, x), None

        x, _ = lax.scan(body, x, w["blocks"])
        with named_scope("norm"):
            x = _norm(w["norm"], x)
        with named_scope("head"):
            return dense(*w["head"], x[:, 0])

    def unstacked(w: Any) -> Any:
        return {**w, "blocks": [entry(w["blocks"], i) for i in range(_BLOCKS)]}

    features, head = case.features, case.head
    return Case(
        "class token, scanned blocks",
        Model(apply, params),
        case.x,
        "blocks.norm1[2]",
        lambda w, x: features(unstacked(w), x),
        lambda w, A, x: head(unstacked(w), A, x),
        _grid(1),
    )


def registers_and_mean_pooling() -> Case:
    """Four register tokens in front, dropped before the mean over the patches."""

    def apply(w: Any, x: Any) -> Any:
        with named_scope("embed"):
            x = _embed(w, x)
        for i, block in enumerate(w["blocks"]):
            with named_scope(f"blocks.{i}"):
                x = _scoped_block(block, x)
        with named_scope("norm"):
            x = _norm(w["norm"], x)
        with named_scope("head"):
            return dense(*w["head"], x[:, 4:].mean(1))

    def features(w: Any, x: Any) -> Any:
        return _norm(w["norm"], _block(w["blocks"][-1], _before_last(w, x)))

    def head(w: Any, A: Any, x: Any) -> Any:
        return dense(*w["head"], A[:, 4:].mean(1))

    model, x = Model(apply, _params(1, 4)), picture(2, 12, 16, 3)
    return Case("registers, mean pooling", model, x, "norm", features, head, _grid(4))


CASES = [class_token, scanned_class_token, registers_and_mean_pooling]
