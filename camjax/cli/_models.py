"""From a SPEC to a model."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from camjax._factory import made
from camjax.cli._errors import UsageError

if TYPE_CHECKING:
    from camjax import Model

KINDS = "testbed, torchvision:NAME, timm:NAME, torch:FILE, python:MODULE:FUNCTION"
IMAGENET_CLASSES = 1000


def build(spec: str, weights: Path | None, *, trained: bool = True, size: tuple[int, int] | None = None) -> Model:
    """The model that a SPEC stands for.

    A network of a zoo is made for inputs of `size` (height, width) where one is given.

    Without a file of weights, a network of a zoo gets the zoo's own, which the zoo downloads; or random
    ones, where `trained` is False because only the network's structure matters.

    Raises:
        UsageError: when the SPEC is none, a file is missing, or the user's own function fails.
        ValueError, ImportError: from the adapters, in words.
    """
    kind, _, name = spec.partition(":")
    if weights is not None and not weights.is_file():
        raise UsageError(f"--weights: {weights}: no such file; check the path.")
    if kind == "testbed" and not name:
        if weights is not None:
            raise UsageError("--weights: the testbed brings its own; name another --model for this file.")
        from camjax import testbed

        return testbed.model()
    if kind in ("torchvision", "timm", "torch", "python") and not name:
        raise UsageError(f"--model: {spec!r} says no name after {kind!r}; expected one of {KINDS}.")
    if kind in ("torchvision", "timm"):
        return _zoo(spec, weights, trained and weights is None, size)
    if kind == "torch":
        return _exported(Path(name), weights)
    if kind == "python":
        return _from_python(name, weights)
    close = difflib.get_close_matches(kind, ("testbed", "torchvision", "timm", "torch", "python"), 1)
    remedy = f"did you mean {close[0]!r}?" if close else f"for a network of torchvision, torchvision:{spec}."
    raise UsageError(f"--model: {spec!r} is no model; {remedy} Expected one of {KINDS}.")


def named(model: Model, classes: int) -> tuple[Model, str]:
    """The model with class names, where they can be known, and a note where they cannot.

    A model with 1000 classes and no names is taken for an ImageNet one; torchvision, if it is installed,
    knows their names.
    """
    if model.labels is not None:
        return model, ""
    if classes != IMAGENET_CLASSES:
        return model, "class numbers only: the model brings no names (camjax.Model takes labels=)"
    if importlib.util.find_spec("torchvision") is None:
        return (
            model,
            "class numbers only: ImageNet's names come from torchvision, which is not installed",
        )
    from camjax_torch.zoo import import_torchvision

    weights = import_torchvision().models.ResNet18_Weights.DEFAULT
    return dataclasses.replace(model, labels=tuple(weights.meta["categories"])), ""


def _zoo(spec: str, weights: Path | None, pretrained: bool, size: tuple[int, int] | None) -> Model:
    _need_torch(spec)
    from camjax_torch import zoo

    return zoo.build(spec, weights=weights, pretrained=pretrained, size=size)


def _exported(path: Path, weights: Path | None) -> Model:
    if weights is not None:
        raise UsageError(f"--weights: {path.name} holds its weights already; leave the option out.")
    if not path.is_file():
        raise UsageError(f"--model: {path}: no such file; check the path.")
    if path.suffix != ".safetensors":  # which may hold a converted model
        _need_torch("torch")
    import camjax_torch

    return camjax_torch.load(path)


def _need_torch(spec: str) -> None:
    zoo = [spec.partition(":")[0]] if ":" in spec else []
    if missing := [name for name in ("torch", *zoo) if importlib.util.find_spec(name) is None]:
        packages = " ".join(["'camjax[torch]'", *(name for name in missing if name != "torch")])
        raise UsageError(f"--model: {spec} needs {' and '.join(missing)}: pip install {packages}")


def _from_python(name: str, weights: Path | None) -> Model:
    from camjax import Model

    where = f"--model python:{name}"
    model = made(where, name, "a camjax.Model", UsageError, *([] if weights is None else [weights]))
    if not isinstance(model, Model):
        raise UsageError(f"{where}: the function returned {type(model).__name__}, expected a camjax.Model.")
    return model
