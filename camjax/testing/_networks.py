"""Small networks of every make with random weights, to try methods and laws on."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax._model import Model
from camjax.testing._transformer import tiny_transformer

if TYPE_CHECKING:
    from jaxtyping import Array, Float

NETWORKS = ("pooled", "plain", "dense", "residual", "transformer")
"""What `tiny_network` makes, the simplest first."""

SIZE, COLOURS = 4, 3
"""Of the pictures that they take, `[B, 4, 4, 3]`."""


@dataclasses.dataclass(frozen=True)
class _Network:
    """relu(conv x), perhaps a residual block with a normalisation, then a head.

    Two of one kind are equal, and share what is compiled. `features` and `head` make a `camjax.Split` by hand.
    """

    kind: str

    def __call__(self, params: Any, x: Float[Array, "B 4 4 3"]) -> Float[Array, "B classes"]:
        return self.head(params, *self.features(params, x))

    def features(self, params: Any, x: Any) -> tuple[Any, None]:
        """The last feature maps, which nothing bypasses."""
        with jax.named_scope("conv"):
            A = jax.nn.relu(_conv(x, params["conv"]))
        if self.kind == "residual":
            with jax.named_scope("block"):
                A = jax.nn.relu(A + _conv(A, params["block"]) * _row(params["scale"]) + _row(params["offset"]))
        return A, None

    def head(self, params: Any, A: Any, rest: None) -> Any:
        """The class scores."""
        if self.kind == "dense":  # positions are told apart, and the score is not linear
            with jax.named_scope("hidden"):
                A = jax.nn.gelu(A.reshape(len(A), -1) @ params["hidden"])
            return A @ params["classes"] + params["bias"][None]
        if self.kind == "plain":  # ReLUs and matrices alone
            with jax.named_scope("hidden"):
                A = jax.nn.relu(A.reshape(len(A), -1) @ params["hidden"])
            return A @ params["classes"]
        return A.mean((1, 2)) @ params["classes"] + params["bias"][None]


def tiny_network(kind: str = "pooled", seed: int = 0, *, channels: int = 5, classes: int = 3) -> Model:
    """A network with random weights, for pictures `[B, 4, 4, 3]`.

    Args:
        kind: "pooled": a convolution, an average over space and a matrix; "plain": a convolution, a hidden layer of
            ReLUs over all positions, nothing with a bias; "dense": the same with a GELU and a bias; "residual": as
            "pooled", with a block that a skip connection bypasses and a batch normalisation scales and shifts;
            "transformer": `tiny_transformer` with a class token.
        seed: of the weights, which are float64 in x64 mode, else float32.
        channels: of the feature maps.
        classes: how many.

    Raises:
        ValueError: for another kind.

    >>> tiny_network("residual")(jnp.ones((2, 4, 4, 3))).shape
    (2, 3)
    """
    if kind == "transformer":
        return tiny_transformer(seed, patch=2, grid=(2, 2), classes=classes)
    if kind not in NETWORKS:
        raise ValueError(f"kind: got {kind!r}, expected one of {', '.join(map(repr, NETWORKS))}.")
    random = np.random.default_rng(seed)
    wide = kind in ("plain", "dense")
    shapes = {"conv": (3, 3, COLOURS, channels), "classes": (7 if wide else channels, classes), "bias": (classes,)}
    if wide:
        shapes["hidden"] = (SIZE * SIZE * channels, 7)
    if kind == "residual":
        shapes |= {"block": (3, 3, channels, channels), "scale": (channels,), "offset": (channels,)}
    weights = {
        name: jnp.asarray(random.normal(size=shape) / np.sqrt(np.prod(shape[:-1])), float)
        for name, shape in shapes.items()
    }
    return Model(_Network(kind), weights)


def _conv(x: Any, kernel: Any) -> Any:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _row(v: Any) -> Any:
    return v[None, None, None]
