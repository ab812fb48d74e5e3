"""Every family of `keras.applications`, against the same model split by hand. Prints the table that `zoo.md` holds.

python -m tests.adapters.keras.sweep [NAME ...] > tests/adapters/keras/zoo.md
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # before anything imports keras

import inspect
import sys
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import keras
import numpy as np
from camjax_keras import from_keras

import camjax
from tests.adapters._table import error, printed

BATCH, CLASSES = 2, 10

# One model of each module that defines architectures, at the smallest side (a multiple of 32) at which the network
# leaves more than one position; both classifiers of MobileNetV3, whose blocks differ.
SIDES = {
    "ConvNeXtTiny": 64,
    "DenseNet121": 64,
    "EfficientNetB0": 64,
    "EfficientNetV2B0": 64,
    "InceptionResNetV2": 128,
    "InceptionV3": 128,
    "MobileNet": 64,
    "MobileNetV2": 64,
    "MobileNetV3Large": 64,
    "MobileNetV3Small": 64,
    "NASNetMobile": 64,
    "ResNet50": 64,
    "ResNet50V2": 64,
    "VGG16": 64,
    "VGG19": 64,
    "Xception": 96,
}
TITLES = ("model", "input", "default layer", "grid", "tail", "outputs", "class scores", "Grad-CAM")


def families() -> dict[str, str]:
    """Each model of the installed `keras.applications`, and the module that defines it."""
    found = inspect.getmembers(keras.applications, inspect.isfunction)
    return {name: function.__module__ for name, function in found}


class Look(NamedTuple):
    """A model, wrapped, with what is found in its trace before anything is computed."""

    name: str
    model: keras.Model
    wrapped: camjax.Model
    x: np.ndarray
    layer: Any
    split: camjax.Split

    @property
    def cells(self) -> tuple[str, ...]:
        """The first cells of the row, the same on every machine."""
        side = SIDES[self.name]
        grid = "x".join(map(str, self.layer.axes.grid))
        return self.name, f"{side}x{side}", f"`{self.layer.name}`", grid, str(self.split.tail)


def look(name: str) -> Look:
    """Wrap the model and find its default layer."""
    model = build(name)
    x = np.random.default_rng(1).uniform(0, 255, (BATCH, *model.input_shape[1:])).astype(np.float32)
    wrapped = from_keras(model)
    layer = camjax.layers(wrapped, x).default
    assert layer is not None, f"{name}: no default layer"
    return Look(name, model, wrapped, x, layer, camjax.split(wrapped, x))


def build(name: str) -> keras.Model:
    """The model with random values for every parameter and statistic, several of which would be zero or one."""
    keras.utils.clear_session()  # layers are numbered from zero again
    # Keras compiles an initialiser for every shape, minutes in all, for values that are replaced here.
    with mock.patch.object(keras.initializers.VarianceScaling, "__call__", lambda self, shape, dtype: np.zeros(shape)):
        shape = (SIDES[name], SIDES[name], 3)
        model = getattr(keras.applications, name)(weights=None, input_shape=shape, classes=CLASSES)
    rng = np.random.default_rng(0)
    for variable in model.variables:
        if variable.dtype == "float32":
            variable.assign(_random(rng, variable.name, variable.shape))
    return model


def _random(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) > 1:
        fan_in = np.prod(shape[:2] if shape[-1] == 1 else shape[:-1])  # depthwise kernels end in 1
        return rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in))
    if name in ("moving_variance", "variance", "gamma"):
        return rng.uniform(0.5, 1.5, shape)
    return 0.2 * rng.standard_normal(shape)


def measure(it: Look) -> tuple[float, float, float]:
    """Errors of outputs, class scores and Grad-CAM against two Keras models that meet at the default layer."""
    explain, by_hand = camjax.explainer(it.wrapped, it.x, size=None), halves(it.model, it.layer.name)
    classes = jnp.arange(BATCH, dtype=jnp.int32) + 1

    @jax.jit  # one program: what both sides have in common is compiled once
    def run(wrapped: camjax.Model, x: Any) -> Any:
        return wrapped(x), explain(wrapped, x, classes), by_hand(wrapped.params, x)

    outputs, got, (logits, gradcam) = run(it.wrapped, it.x)
    scores = logits[jnp.arange(BATCH), classes]
    return error(outputs, jax.nn.softmax(logits)), error(got.score[:, 0], scores), error(got.raw[:, 0], gradcam)


def halves(model: keras.Model, name: str) -> Any:
    """The function of a batch that gives the logits and Grad-CAM of classes 1, 2, ...: two models that meet at a layer.

    The last layer of the second one is linear, in place of the softmax.
    """
    maps = _after(model, name[6:]) if name.startswith("after:") else model.get_layer(name).output
    features, head = keras.Model(model.input, maps), keras.Model(maps, model.output)

    def by_hand(params: dict[str, list[jax.Array]], x: jax.Array) -> tuple[jax.Array, jax.Array]:
        values = {v.path: value for v, value in zip(model.trainable_variables, params["trainable"], strict=True)}
        frozen = zip(model.non_trainable_variables, params["non_trainable"], strict=True)
        values |= {v.path: value for v, value in frozen}

        def run(part: keras.Model, x: jax.Array) -> jax.Array:
            every = part.trainable_variables, part.non_trainable_variables
            return part.stateless_call(*([values[v.path] for v in some] for some in every), x, training=False)[0]

        def score(A: jax.Array) -> tuple[jax.Array, jax.Array]:
            logits = run(head, A)
            return sum(logits[i, i + 1] for i in range(BATCH)), logits

        with mock.patch.object(model.layers[-1], "activation", keras.activations.linear):
            A = run(features, x)
            G, logits = jax.grad(score, has_aux=True)(A)
        return logits, (G.mean((1, 2), keepdims=True) * A).sum(-1)

    return by_hand


def _after(model: keras.Model, name: str) -> Any:
    """The output of the first operation after a layer that is no layer: ConvNeXt adds with `+`."""
    names = [operation.name for operation in model.operations]
    later = model.operations[names.index(name) + 1 :]
    return next(operation.output for operation in later if not isinstance(operation, keras.layers.Layer))


def row(name: str) -> list[str]:
    """The cells of a model's row."""
    it = look(name)
    return [*it.cells, *(f"{value:.0e}" for value in measure(it))]


if __name__ == "__main__":
    sys.exit(printed(TITLES, [(name, name) for name in sys.argv[1:] or SIDES], row))
