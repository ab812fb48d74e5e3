"""Keras 3: `model.stateless_call` in inference; Keras names its layers' scopes itself."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

from camjax import Model, Preprocess
from camjax.adapting import Apply, mark_silent

if TYPE_CHECKING:
    import keras


def from_keras(
    model: keras.Model,
    *,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    **call_kwargs: Any,
) -> Model:
    """A Keras 3 model (functional, sequential or subclassed) as a `camjax.Model`, in inference.

    `apply(params, x)` is `model.stateless_call(trainable, non_trainable, x, training=False, **call_kwargs)` without the
    updated variables, and without `training` where the model's own `call` does not take it.

    Layers are addressed by the names that Keras gave them (`conv5_block3_out`), layers of an inner model by both names
    (`backbone.conv5_block3_out`); a shared layer's calls are `name#0`, `name#1`. A layer of a functional or sequential
    model that computes nothing in inference, such as Dropout, is listed and says so; which layers a subclassed model
    calls is known to its own code alone, so there such a layer is not listed.

    Args:
        model: the model, built. Its variables as they are now are the model's leaves.
        labels: the names of the classes, in the order of the outputs.
        preprocess: how a picture becomes `x`.
        **call_kwargs: passed on to every call.

    Raises:
        RuntimeError: Keras runs on another backend than JAX.
        TypeError: `model` is no Keras model.
        ValueError: the model has not been built.

    Example:
        >>> import os; os.environ["KERAS_BACKEND"] = "jax"
        >>> import keras, jax.numpy as jnp
        >>> model = from_keras(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]))
        >>> model(jnp.ones((2, 4))).shape
        (2, 3)
    """
    keras = _keras()
    if not isinstance(model, keras.Model):
        raise TypeError(f"from_keras: model must be a keras.Model, got {type(model).__name__}.")
    if not model.built:
        raise ValueError(
            f"from_keras: {type(model).__name__} has no variables yet; call it once, or model.build(input_shape), and "
            "load its weights before it is wrapped."
        )

    called = tuple(_called(keras, model))
    takes = inspect.signature(model.call).parameters.values()
    mode = {"training": False} if any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in takes) else {}

    def run(params: dict[str, list[Any]], x: Any) -> Any:
        variables = params["trainable"], params["non_trainable"]
        out = model.stateless_call(*variables, x, **mode, **call_kwargs)[0]
        mark_silent(called, jax.tree.leaves(out)[0])
        return out

    return Model(
        Apply(run, model, *sorted(call_kwargs.items(), key=lambda item: item[0])),
        {
            "trainable": [variable.value for variable in model.trainable_variables],
            "non_trainable": [variable.value for variable in model.non_trainable_variables],
        },
        labels=None if labels is None else tuple(labels),
        preprocess=preprocess,
    )


def load(path: str | Path, **options: Any) -> Model:
    """A model saved by Keras, `.keras` or a whole model in `.h5`, as a `camjax.Model`.

    Code inside of the file (Lambda layers) is refused, as Keras does in its safe mode. A file of weights alone
    (`.weights.h5`) has no model in it: build that, `model.load_weights(path)`, and give it to `from_keras`.

    Args:
        path: the file.
        **options: as for `from_keras`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no model that Keras can read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"camjax_keras.load: {path} does not exist.")
    if path.name.endswith(".weights.h5"):
        raise ValueError(
            f"camjax_keras.load: {path} holds weights and no model; build the model, model.load_weights(...), and "
            "give it to camjax_keras.from_keras."
        )
    try:
        model = _keras().models.load_model(path, compile=False, safe_mode=True)
    except (ValueError, OSError, TypeError) as error:
        raise ValueError(f"camjax_keras.load: {path} cannot be read as a Keras model: {error}") from error
    return from_keras(model, **options)


def _called(keras: Any, model: Any, outer: str = "") -> Iterator[str]:
    """The names of all layers that a call of a functional or sequential model is sure to call."""
    own = type(model).call.__module__.partition(".")[0] != "keras"  # a subclass may leave layers out
    if own or not isinstance(model, keras.Function | keras.Sequential):
        return
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            yield f"{outer}{layer.name}"
            yield from _called(keras, layer, f"{outer}{layer.name}.")


def _keras() -> Any:
    if "keras" not in sys.modules:  # nobody has chosen yet
        os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    if keras.backend.backend() != "jax":
        raise RuntimeError(
            f"camjax_keras: Keras runs on the {keras.backend.backend()} backend, and camjax needs JAX's. Set "
            "os.environ['KERAS_BACKEND'] = 'jax' before anything imports keras, or \"backend\": \"jax\" in "
            "~/.keras/keras.json; .keras files load on any backend."
        )
    return keras
