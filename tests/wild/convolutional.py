"""Convolutional networks as plain functions: every way of calling, looping and laying out axes."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax, named_scope
from jax.nn import relu

from camjax import Model
from tests.wild.case import Case, Weights, picture

_LAYOUTS = {
    "NWC": ("NWC", "WIO", "NWC"),
    "NHWC": ("NHWC", "HWIO", "NHWC"),
    "NCHW": ("NCHW", "OIHW", "NCHW"),
    "NDHWC": ("NDHWC", "DHWIO", "NDHWC"),
}


def conv(w: Any, x: Any, stride: int = 1, layout: str = "NHWC") -> Any:
    """A convolution with SAME padding."""
    spec = _LAYOUTS[layout]
    return lax.conv_general_dilated(x, w, (stride,) * (x.ndim - 2), "SAME", dimension_numbers=spec)


def dense(w: Any, b: Any, x: Any) -> Any:
    """An affine map of the last axis."""
    return x @ w + b


def _small(seed: int, *widths: int) -> dict[str, Any]:
    """Weights of 3x3 convolutions through `widths` and of a classifier of 5 classes."""
    w = Weights(seed)
    convs = [w(3, 3, i, o) for i, o in pairwise(widths)]
    return {"convs": convs, "dense": w(widths[-1], 5), "bias": w(5)}


def _pooled_head(w: Any, A: Any, x: Any) -> Any:
    return A.mean((1, 2)) @ w["dense"] + w["bias"]


def _straight(w: Any, x: Any) -> Any:
    for kernel in w["convs"]:
        x = relu(conv(kernel, x))
    return x


def nested_jit() -> Case:
    @partial(jax.jit, static_argnames="stride")
    def block(kernel: Any, x: Any, stride: int = 1) -> Any:
        return jax.jit(relu)(conv(kernel, x, stride))

    @jax.jit
    def backbone(w: Any, x: Any) -> Any:
        for i, kernel in enumerate(w["convs"]):
            with named_scope(f"stage{i}"):
                x = block(kernel, x)
        return x

    @jax.jit
    def apply(w: Any, x: Any) -> Any:
        x = backbone(w, x)
        with named_scope("head"):
            return jax.jit(dense)(w["dense"], w["bias"], x.mean((1, 2)))

    model = Model(apply, _small(0, 3, 6, 6, 8))
    return Case("nested jit", model, picture(2, 10, 12, 3), "stage2", _straight, _pooled_head)


def checkpointed() -> Case:
    @partial(jax.checkpoint, policy=jax.checkpoint_policies.dots_saveable)
    def block(kernel: Any, x: Any) -> Any:
        with named_scope("conv"):
            x = conv(kernel, x)
        with named_scope("act"):
            return relu(x)

    def apply(w: Any, x: Any) -> Any:
        for i, kernel in enumerate(w["convs"]):
            with named_scope(f"block{i}"):
                x = jax.checkpoint(block)(kernel, x)
        with named_scope("head"):
            return dense(w["dense"], w["bias"], x.mean((1, 2)))

    model = Model(apply, _small(1, 3, 6, 8))
    return Case("jax.checkpoint", model, picture(2, 9, 9, 3), "block1", _straight, _pooled_head)


def _stacked(seed: int) -> dict[str, Any]:
    w = Weights(seed)
    return {
        "stem": w(3, 3, 3, 6),
        "convs": jax.numpy.stack([w(3, 3, 6, 6) for _ in range(4)]),
        "dense": w(6, 5),
        "bias": w(5),
    }


def scanned() -> Case:
    """Residual blocks in one `lax.scan`."""

    def apply(w: Any, x: Any) -> Any:
        with named_scope("stem"):
            x = conv(w["stem"], x, 2)

        def body(x: Any, kernel: Any) -> tuple[Any, None]:
            with named_scope("block"):
                with named_scope("conv"):
                    y = conv(kernel, x)
                return relu(x + y), None

        x, _ = lax.scan(body, x, w["convs"])
        with named_scope("head"):
            return dense(w["dense"], w["bias"], x.mean((1, 2)))

    def features(w: Any, x: Any) -> Any:
        x = conv(w["stem"], x, 2)
        for kernel in w["convs"]:
            x = relu(x + conv(kernel, x))
        return x

    model = Model(apply, _stacked(2))
    return Case("lax.scan", model, picture(2, 12, 12, 3), "block[3]", features, _pooled_head)


def shared_twice() -> Case:
    """One layer with one set of weights, called twice in a row."""
    w = Weights(3)
    params = {"stem": w(3, 3, 3, 6), "shared": w(3, 3, 6, 6), "dense": w(6, 5), "bias": w(5)}

    def shared(w: Any, x: Any) -> Any:
        with named_scope("shared"):
            return relu(conv(w, x))

    def apply(w: Any, x: Any) -> Any:
        with named_scope("stem"):
            x = relu(conv(w["stem"], x))
        x = shared(w["shared"], shared(w["shared"], x))
        with named_scope("head"):
            return dense(w["dense"], w["bias"], x.mean((1, 2)))

    def features(w: Any, x: Any) -> Any:
        x = relu(conv(w["stem"], x))
        return relu(conv(w["shared"], relu(conv(w["shared"], x))))

    return Case("shared layer", Model(apply, params), picture(2, 8, 8, 3), "shared#1", features, _pooled_head)


def jit_shared_twice() -> Case:
    """The same with a jitted layer: both calls are one traced program."""
    case = shared_twice()

    @jax.jit
    def shared(w: Any, x: Any) -> Any:
        with named_scope("shared"):
            return relu(conv(w, x))

    def apply(w: Any, x: Any) -> Any:
        with named_scope("stem"):
            x = relu(conv(w["stem"], x))
        x = shared(w["shared"], shared(w["shared"], x))
        with named_scope("head"):
            return dense(w["dense"], w["bias"], x.mean((1, 2)))

    model = Model(apply, case.model.params)
    return Case("jitted shared layer", model, case.x, "shared#1", case.features, case.head)


def _with_outputs(name: str, outputs: Any, pick: Any) -> Case:
    def apply(w: Any, x: Any) -> Any:
        for i, kernel in enumerate(w["convs"]):
            with named_scope(f"conv{i}"):
                x = relu(conv(kernel, x))
        with named_scope("head"):
            logits = dense(w["dense"], w["bias"], x.mean((1, 2)))
        return outputs(logits, x)

    model = Model(apply, _small(4, 3, 6, 8))
    return Case(name, model, picture(2, 8, 10, 3), "conv1", _straight, _pooled_head, pick=pick)


def dict_output() -> Case:
    return _with_outputs(
        "dict outputs",
        lambda logits, x: {"logits": logits, "norm": (x**2).sum((1, 2, 3))},
        lambda o: o["logits"],
    )


def tuple_output() -> Case:
    def outputs(logits: Any, x: Any) -> Any:
        return (x.mean((1, 2)), logits), jnp.float32(3)

    return _with_outputs("tuple outputs", outputs, lambda outputs: outputs[0][1])


def two_inputs() -> Case:
    """A picture and a question that gates the channels."""
    w = Weights(5)
    params = {**_small(5, 3, 6, 8), "question": w(4, 8)}

    def apply(w: Any, x: Any) -> Any:
        image, question = x["image"], x["question"]
        for i, kernel in enumerate(w["convs"]):
            with named_scope(f"image{i}"):
                image = relu(conv(kernel, image))
        with named_scope("question"):
            gate = jax.nn.sigmoid(question @ w["question"])
        with named_scope("head"):
            return dense(w["dense"], w["bias"], image.mean((1, 2)) * gate)

    def head(w: Any, A: Any, x: Any) -> Any:
        return (A.mean((1, 2)) * jax.nn.sigmoid(x["question"] @ w["question"])) @ w["dense"] + w["bias"]

    x = {"image": picture(2, 8, 8, 3), "question": picture(2, 4)}
    return Case("two inputs", Model(apply, params), x, "image1", lambda w, x: _straight(w, x["image"]), head)


def one_dimensional() -> Case:
    w = Weights(6)
    params = {"convs": [w(5, 2, 6), w(5, 6, 8)], "dense": w(8, 5), "bias": w(5)}

    def apply(w: Any, x: Any) -> Any:
        for i, kernel in enumerate(w["convs"]):
            with named_scope(f"conv{i}"):
                x = relu(conv(kernel, x, 2, "NWC"))
        with named_scope("head"):
            return dense(w["dense"], w["bias"], x.max(1))

    def features(w: Any, x: Any) -> Any:
        for kernel in w["convs"]:
            x = relu(conv(kernel, x, 2, "NWC"))
        return x

    def head(w: Any, A: Any, x: Any) -> Any:
        return A.max(1) @ w["dense"] + w["bias"]

    return Case("1-D convolutions", Model(apply, params), picture(2, 40, 2), "conv1", features, head)


def three_dimensional() -> Case:
    w = Weights(7)
    params = {"convs": [w(3, 3, 3, 2, 4), w(3, 3, 3, 4, 6)], "dense": w(6, 5), "bias": w(5)}

    def apply(w: Any, x: Any) -> Any:
        for i, kernel in enumerate(w["convs"]):
            with named_scope(f"conv{i}"):
                x = relu(conv(kernel, x, 1 + i, "NDHWC"))
        with named_scope("head"):
            return dense(w["dense"], w["bias"], x.mean((1, 2, 3)))

    def features(w: Any, x: Any) -> Any:
        return relu(conv(w["convs"][1], relu(conv(w["convs"][0], x, 1, "NDHWC")), 2, "NDHWC"))

    def head(w: Any, A: Any, x: Any) -> Any:
        return A.mean((1, 2, 3)) @ w["dense"] + w["bias"]

    return Case("3-D convolutions", Model(apply, params), picture(2, 6, 8, 10, 2), "conv1", features, head)


def channels_first() -> Case:
    w = Weights(8)
    params = {"convs": [w(6, 3, 3, 3), w(8, 6, 3, 3)], "scale": w(8) + 1, "dense": w(8, 5), "bias": w(5)}

    def apply(w: Any, x: Any) -> Any:
        for i, kernel in enumerate(w["convs"]):
            with named_scope(f"conv{i}"):
                x = relu(conv(kernel, x, 1 + i, "NCHW"))
        with named_scope("norm"):
            x = x * w["scale"][:, None, None]
        with named_scope("head"):
            return dense(w["dense"], w["bias"], x.mean((2, 3)))

    def features(w: Any, x: Any) -> Any:
        x = relu(conv(w["convs"][1], relu(conv(w["convs"][0], x, 1, "NCHW")), 2, "NCHW"))
        return x * w["scale"][:, None, None]

    def head(w: Any, A: Any, x: Any) -> Any:
        return A.mean((2, 3)) @ w["dense"] + w["bias"]

    model = Model(apply, params)
    return Case("NCHW", model, picture(2, 3, 8, 10), "norm", features, head, lambda A: jnp.moveaxis(A, 1, -1))


def bfloat16() -> Case:
    case = nested_jit()
    params, x = jax.tree.map(lambda v: jnp.asarray(v, jnp.bfloat16), (case.model.params, case.x))
    model = Model(case.model.apply, params)
    return Case("bfloat16", model, x, case.layer, case.features, case.head, tolerance=0.05)


CASES = [
    nested_jit,
    checkpointed,
    scanned,
    shared_twice,
    jit_shared_twice,
    dict_output,
    tuple_output,
    two_inputs,
    one_dimensional,
    three_dimensional,
    channels_first,
    bfloat16,
]
