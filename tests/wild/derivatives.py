"""Custom derivatives and skip connections, in the way of a trace that looks inside."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import named_scope
from jax.nn import relu

from camjax import Model
from tests.wild.case import Case, Weights, picture
from tests.wild.convolutional import conv, dense


def _params(seed: int) -> dict[str, Any]:
    w = Weights(seed)
    return {"stem": w(3, 3, 3, 8), "convs": [w(3, 3, 8, 8), w(3, 3, 8, 8)], "dense": w(8, 5), "bias": w(5)}


def _head(w: Any, A: Any, x: Any) -> Any:
    return dense(w["dense"], w["bias"], A.mean((1, 2)))


@jax.custom_jvp
def _swish(x: Any) -> Any:
    return x * jax.nn.sigmoid(x)


@_swish.defjvp
def _swish_jvp(primals: Any, tangents: Any) -> Any:
    (x,), (t,) = primals, tangents
    s = jax.nn.sigmoid(x)
    return x * s, t * (s + x * s * (1 - s))


@jax.custom_vjp
def _passing_sign(x: Any) -> Any:
    """The sign of x forward, a clipped identity backward: not the derivative of its own formula."""
    return jnp.sign(x)


def _passing_sign_forward(x: Any) -> Any:
    return jnp.sign(x), x


def _passing_sign_backward(x: Any, g: Any) -> Any:
    return (g * (jnp.abs(x) < 1),)


_passing_sign.defvjp(_passing_sign_forward, _passing_sign_backward)


def _straight_through(x: Any) -> Any:
    """The same value and derivative, without a custom rule."""
    clipped = jnp.clip(x, -1, 1)
    return clipped + jax.lax.stop_gradient(jnp.sign(x) - clipped)


def custom_jvp_activation() -> Case:
    def apply(w: Any, x: Any) -> Any:
        with named_scope("stem"):
            x = _swish(conv(w["stem"], x))
        with named_scope("block"):
            x = _swish(conv(w["convs"][0], x))
        with named_scope("head"):
            return dense(w["dense"], w["bias"], _swish(x).mean((1, 2)))

    def features(w: Any, x: Any) -> Any:
        return jax.nn.swish(conv(w["convs"][0], jax.nn.swish(conv(w["stem"], x))))

    def head(w: Any, A: Any, x: Any) -> Any:
        return _head(w, jax.nn.swish(A), x)

    model, x = Model(apply, _params(20)), picture(2, 8, 8, 3)
    return Case("custom_jvp activation", model, x, "block", features, head)


def custom_vjp_activation() -> Case:
    """The rule after the layer must be the one used: autodiff of the sign would give zeros."""

    def apply(w: Any, x: Any) -> Any:
        with named_scope("stem"):
            x = relu(conv(w["stem"], x))
        with named_scope("block"):
            x = conv(w["convs"][0], x)
        with named_scope("head"):
            return dense(w["dense"], w["bias"], _passing_sign(x).mean((1, 2)))

    def features(w: Any, x: Any) -> Any:
        return conv(w["convs"][0], relu(conv(w["stem"], x)))

    def head(w: Any, A: Any, x: Any) -> Any:
        return _head(w, _straight_through(A), x)

    model, x = Model(apply, _params(21)), picture(2, 8, 8, 3)
    return Case("custom_vjp activation", model, x, "block", features, head)


def custom_vjp_block() -> Case:
    """A block with a hand-written backward pass (here the true one), and scopes inside it."""

    @jax.custom_vjp
    def block(w: Any, x: Any) -> Any:
        for i, kernel in enumerate(w):
            with named_scope(f"conv{i}"):
                x = relu(conv(kernel, x))
        return x

    def plain(w: Any, x: Any) -> Any:
        for kernel in w:
            x = relu(conv(kernel, x))
        return x

    def forward(w: Any, x: Any) -> Any:
        return jax.vjp(plain, w, x)

    block.defvjp(forward, lambda pullback, g: pullback(g))

    def apply(w: Any, x: Any) -> Any:
        with named_scope("stem"):
            x = relu(conv(w["stem"], x))
        with named_scope("block"):
            x = block(w["convs"], x)
        with named_scope("head"):
            return dense(w["dense"], w["bias"], x.mean((1, 2)))

    def features(w: Any, x: Any) -> Any:
        return plain(w["convs"], relu(conv(w["stem"], x)))

    model, x = Model(apply, _params(22)), picture(2, 8, 8, 3)
    return Case("custom_vjp block", model, x, "block", features, _head)


def bypassed() -> Case:
    """A residual network, to be explained inside of its last block, which the skip connection bypasses."""

    def apply(w: Any, x: Any) -> Any:
        with named_scope("stem"):
            x = relu(conv(w["stem"], x))
        with named_scope("block"):
            with named_scope("conv0"):
                y = relu(conv(w["convs"][0], x))
            with named_scope("conv1"):
                y = conv(w["convs"][1], y)
            x = relu(x + y)
        with named_scope("head"):
            return dense(w["dense"], w["bias"], x.mean((1, 2)))

    def features(w: Any, x: Any) -> Any:
        return relu(conv(w["convs"][0], relu(conv(w["stem"], x))))

    def head(w: Any, A: Any, x: Any) -> Any:
        return _head(w, relu(relu(conv(w["stem"], x)) + conv(w["convs"][1], A)), x)

    model, x = Model(apply, _params(23)), picture(2, 8, 8, 3)
    return Case("bypassed layer", model, x, "block", features, head)


CASES = [custom_jvp_activation, custom_vjp_activation, custom_vjp_block]
