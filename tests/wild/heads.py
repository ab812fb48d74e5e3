"""The tails that classifiers end in; the score is the logit before them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import named_scope
from jax.nn import relu

from camjax import Model
from tests.wild.case import Case, Weights, picture
from tests.wild.convolutional import conv, dense


def _shifted(logits: Any) -> Any:
    exponentials = jnp.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def _unshifted(logits: Any) -> Any:
    exponentials = jnp.exp(logits)
    return exponentials / exponentials.sum(-1, keepdims=True)


TAILS: dict[str, Callable[[Any], Any]] = {
    "softmax": jax.nn.softmax,
    "softmax, shifted by hand": _shifted,
    "softmax, not shifted": _unshifted,
    "softmax of a wider dtype": lambda z: jax.nn.softmax(z.astype(jnp.float32)[:, None])[:, 0],
    "exp of log-softmax": lambda z: jnp.exp(jax.nn.log_softmax(z)),
    "log-softmax": jax.nn.log_softmax,
    "log of softmax": lambda z: jnp.log(jax.nn.softmax(z)),
    "sigmoid": jax.nn.sigmoid,
    "sigmoid by hand": lambda z: 1 / (1 + jnp.exp(-z)),
    "log of sigmoid": lambda z: jnp.log(jax.nn.sigmoid(z)),
    "softmax, clipped": lambda z: jnp.clip(jax.nn.softmax(z), 1e-7, 1 - 1e-7),
    "jitted softmax": jax.jit(jax.nn.softmax),
}


def network(tail: Callable[[Any], Any], temperature: float = 1.0) -> Case:
    """One small network, its logits divided by `temperature`, with a tail."""
    w = Weights(11)
    params = {"convs": [w(3, 3, 3, 6), w(3, 3, 6, 8)], "dense": w(8, 5), "bias": w(5)}

    def features(w: Any, x: Any) -> Any:
        return relu(conv(w["convs"][1], relu(conv(w["convs"][0], x))))

    def head(w: Any, A: Any, x: Any) -> Any:
        return dense(w["dense"], w["bias"], A.mean((1, 2)))

    def apply(w: Any, x: Any) -> Any:
        for i, kernel in enumerate(w["convs"]):
            with named_scope(f"conv{i}"):
                x = relu(conv(kernel, x))
        with named_scope("head"):
            x = dense(w["dense"], w["bias"], x.mean((1, 2)))
        return tail(x / temperature if temperature != 1 else x)

    return Case("tail", Model(apply, params), picture(2, 8, 8, 3), "conv1", features, head)
