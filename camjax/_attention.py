"""The provider of `attention`: a transformer's blocks over the picture's tokens, or why there are none, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from camjax._example import wide
from camjax.methods._attention import Attention

if TYPE_CHECKING:
    from camjax._needs import Given
    from camjax.trace._blocks import Attentions, Tokens


def attention(given: Given) -> Attention:
    """The attention of the model for one example and one target.

    Raises:
        ValueError: for a hand-written `Split`, for a model without attention between all tokens of the picture, and,
            once sensitivities are asked for, for one that is no chain of blocks with a residual stream.
    """
    example, split = given.example, given.example.split
    if split.source is None:
        raise ValueError(
            f"layer: {given.method} reads the attention of the whole model, which the hand-written camjax.Split "
            f"{split.name or '(without a name)'} does not show; leave layer= out, or give the name of a layer "
            "(camjax.layers lists them), so that the model is traced."
        )
    found = split.source.attentions("outputs" if split.tail is None else "logits")
    tokens = found.over(example.axes)
    if tokens is None:
        raise ValueError(_refusal(given.method, found))
    env = tokens.run(split, example.params, jax.tree.map(lambda leaf: leaf[None], example.x))

    def score(outputs: Any) -> Any:
        return given.target(wide(outputs))

    def arrays(which: str) -> list[Any]:
        operands = [getattr(block, which) for block in tokens.blocks]
        found = [wide(operand.of(env[operand.value])) for operand in operands]
        heads = [math.prod(b.probability.value.shape[d] for d in b.probability.heads) for b in tokens.blocks]
        # Several heads in a row may share keys and values.
        return [jnp.repeat(array, n // len(array), 0) for n, array in zip(heads, found, strict=True)]

    def gradients(last: int | None = None) -> Sequence[Any]:
        operands = [block.probability for block in tokens.blocks[_first(tokens, last) :]]
        return wide(tokens.gradients(env, operands, score))

    def sensitivities(last: int | None = None) -> Sequence[Any]:
        first = _first(tokens, last)
        if obstacle := tokens.obstacle(first):
            raise ValueError(
                f"method: {given.method} scores the mean token behind each block of a transformer by what follows the "
                f"last block, but in this model {obstacle}. It needs blocks that add to a residual stream, with one "
                "head behind the last; camjax.GAE() and camjax.AttentionRollout() need the attention alone."
            )
        return [wide(tokens.sensitivity(env, n, score)) for n in range(first, len(tokens.blocks))]

    return Attention(
        arrays("probability"),
        arrays("query"),
        arrays("key"),
        arrays("value"),
        gradients,
        lambda: wide(tokens.gradients(env, [tokens.blocks[-1].output], score)[0]),
        sensitivities,
        lambda numbers: numbers[..., tokens.places],
    )


def _first(tokens: Tokens, last: int | None) -> int:
    return 0 if last is None else max(len(tokens.blocks) - last, 0)


def _refusal(method: str, found: Attentions) -> str:
    if not found.found:
        return (
            f"method: {method} reads the attention of a vision transformer, got a model without any: no softmax "
            "between two matrix products of values that are computed from x was found. Choose a method of feature "
            "maps, such as camjax.GradCAM(); or, if this is a transformer whose attention is one fused kernel, lies in "
            "a while loop or in a jit with shardings, let it compute it in the open, such as by "
            "jax.nn.dot_product_attention(..., implementation='xla')."
        )
    sizes = dict.fromkeys(f"{b.probability.length}x{b.value.length}" for b in found.found)
    remedy = (
        "Choose a method of feature maps, such as camjax.GradCAM()."
        if found.grids.known
        else "No convolution labels the axes of x: name a layer that holds all tokens, with axes=dict(space=1, "
        "grid=(h, w), prefix=1, channel=2)."
    )
    return (
        f"method: {method} needs attention between all tokens of the picture, got a model whose "
        f"{len(found.found)} attentions (queries x keys: {', '.join(sizes)}) are within windows, over fewer keys, or "
        f"between other tokens than the layer's. {remedy}"
    )
