"""The networks of torchvision and timm by name, with their own preprocessing and class names."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import torch

import camjax
from camjax_torch import _checkpoint
from camjax_torch._convert import from_torch
from camjax_torch._files import existing_file, first_line


@dataclasses.dataclass(frozen=True)
class Entry:
    """An architecture of a zoo: how it is built, what it wants to see and what its classes are called.

    `make(pretrained, num_classes)`: the module; `describe(module)`: its preprocessing and labels.
    """

    spec: str
    make: Callable[[bool, int | None], torch.nn.Module]
    describe: Callable[[torch.nn.Module], tuple[camjax.Preprocess, tuple[str, ...] | None]]


def build(
    spec: str, weights: str | Path | None = None, pretrained: bool = False, size: tuple[int, int] | None = None
) -> camjax.Model:
    """A network of torchvision or timm as a camjax model, with its own preprocessing and class names.

    Args:
        spec: `"torchvision:resnet50"`, `"timm:vit_tiny_patch16_224"`, or the bare name (torchvision's, else
            timm's).
        weights: a file of weights, as for `camjax_torch.load`; without one the weights are random.
        pretrained: the zoo's own weights, which the zoo downloads.
        size: height and width of the input, where they are not to be the zoo's own.

    Raises:
        ValueError: no such architecture (the closest names are listed), or weights that do not fit it.
        ConnectionError: the pretrained weights cannot be downloaded.
        ImportError: the zoo is not installed.
    """
    if weights is not None and pretrained:
        raise ValueError("build: weights and pretrained=True exclude each other; give a file, or let the zoo download.")
    found = entry(spec)
    if weights is None:
        return convert(found, pretrained=pretrained, size=size)
    path = existing_file(weights)
    return convert(found, state=_checkpoint.read_state_dict(path), origin=str(path), size=size)


def convert(
    found: Entry,
    *,
    state: _checkpoint.StateDict | None = None,
    origin: str = "",
    pretrained: bool = False,
    size: tuple[int, int] | None = None,
    example: Any = None,
    labels: Sequence[str] | None = None,
    preprocess: camjax.Preprocess | None = None,
) -> camjax.Model:
    """The architecture with the weights `state` (read from `origin`), the zoo's own, or random ones."""
    if state is None:
        module = found.make(pretrained, None)
    else:
        module = found.make(False, _classes_in(state, found))
        load_weights(module, state, origin)
    own_preprocess, own_labels = found.describe(module)
    preprocess = preprocess or own_preprocess
    if size is not None:
        preprocess = dataclasses.replace(preprocess, size=size)
    if example is None:
        example = torch.zeros(2, len(preprocess.mean), *preprocess.size)
    model = from_torch(module, example, labels=labels, preprocess=preprocess)
    if labels is not None:
        return model
    return dataclasses.replace(model, labels=_if_they_fit(own_labels, model, example))


def _if_they_fit(labels: tuple[str, ...] | None, model: camjax.Model, example: torch.Tensor) -> tuple[str, ...] | None:
    """The zoo's labels where the network has as many outputs."""
    outputs = jax.eval_shape(model, jax.ShapeDtypeStruct(tuple(example.shape), "float32"))
    shapes = [leaf.shape[1:] for leaf in jax.tree.leaves(outputs)]
    return labels if labels is not None and shapes[:1] == [(len(labels),)] else None


def load_weights(module: torch.nn.Module, state: _checkpoint.StateDict, origin: str) -> None:
    """Fill the module with the weights, every one of them, or say which do not fit, as torch does."""
    try:
        module.load_state_dict(_checkpoint.fit_keys(state, module.state_dict()))
    except RuntimeError as error:
        raise ValueError(
            f"load: the weights in {origin} are not those of a {type(module).__name__}; is arch right?\n{error}"
        ) from error


def _classes_in(state: _checkpoint.StateDict, found: Entry) -> int | None:
    """How many classes the weights were trained for, where it is not the number of the architecture's
    default.

    The shapes are compared to those of the default network, made without memory on torch's meta device.
    """
    with torch.device("meta"):
        default = found.make(False, None).state_dict()
    state = _checkpoint.fit_keys(state, default)
    other = [
        (len(state[key]), len(tensor))
        for key, tensor in default.items()
        if key in state
        and state[key].ndim
        and state[key].shape != tensor.shape
        and state[key].shape[1:] == tensor.shape[1:]
    ]
    # the heads (auxiliary ones too) are all that differs, and in the number of rows alone
    return other[0][0] if len(set(other)) == 1 else None


def entry(spec: str) -> Entry:
    """The architecture that `spec` names."""
    zoo, separator, name = spec.rpartition(":")
    zoos = {"torchvision": _torchvision_entry, "timm": _timm_entry}
    if separator and zoo not in zoos:
        raise ValueError(
            f"arch: no zoo {zoo!r} (in {spec!r}); there are {', '.join(zoos)}: for example torchvision:resnet50."
        )
    known: list[str] = []
    for candidate in [zoo] if separator else zoos:
        try:
            found, names = zoos[candidate](name)
        except ImportError:
            if separator:
                raise
            continue  # a bare name may stand in the other zoo
        if found is not None:
            return found
        known += [f"{candidate}:{other}" for other in names]
    close = [
        full
        for full in known
        if full.partition(":")[2] in difflib.get_close_matches(name, [k.partition(":")[2] for k in known])
    ]
    hint = (
        f"did you mean {', '.join(close)}?"
        if close
        else "torchvision.models.list_models() and timm.list_models() list them."
    )
    raise ValueError(f"arch: no architecture {name!r} in {zoo or 'torchvision or timm'}; {hint}")


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"arch: the networks of {name} need it installed: pip install {name}") from error


_library: torch.library.Library | None = None


def import_torchvision() -> ModuleType:
    """torchvision, also where its compiled operators cannot be loaded.

    Beside a torch that was built by somebody else (CPU builds, for one) torchvision's compiled operators do
    not load, and its import stops at the first of them that it describes: "operator torchvision::nms does
    not exist". The networks do not use them; that the names exist is enough, so they are declared here, and
    only after that very error.
    """
    global _library
    try:
        return _import("torchvision")
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    _library = torch.library.Library("torchvision", "DEF")  # it declares for as long as it lives
    for name in ("nms", "qnms"):
        _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return _import("torchvision")


def _torchvision_entry(name: str) -> tuple[Entry | None, list[str]]:
    import_torchvision()
    models = importlib.import_module("torchvision.models")
    names = models.list_models()
    if name not in names:
        return None, names
    default = models.get_model_weights(name).DEFAULT

    def make(pretrained: bool, num_classes: int | None) -> torch.nn.Module:
        options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
        if name in ("inception_v3", "googlenet") and not pretrained:
            options["init_weights"] = False  # their own initialisation takes minutes
        if "weights_backbone" in inspect.signature(models.get_model_builder(name)).parameters:
            options["weights_backbone"] = None  # which it would download; the network's weights have them
        return _download(lambda: models.get_model(name, weights=default if pretrained else None, **options), name)

    def describe(module: torch.nn.Module) -> tuple[camjax.Preprocess, tuple[str, ...] | None]:
        transform = default.transforms()
        size = tuple(getattr(transform, "crop_size", None) or transform.resize_size)
        preprocess = camjax.Preprocess(
            size=(size[0], size[-1]),
            resize=transform.resize_size[0] if hasattr(transform, "crop_size") else None,
            mean=tuple(transform.mean),
            std=tuple(transform.std),
            layout="NCHW",
            interpolation=transform.interpolation.value,
        )
        return preprocess, tuple(default.meta.get("categories", ())) or None

    return Entry(f"torchvision:{name}", make, describe), names


def _timm_entry(name: str) -> tuple[Entry | None, list[str]]:
    import_torchvision()  # timm imports it
    timm = _import("timm")
    names = timm.list_models()
    if not timm.is_model(name):
        return None, names

    def make(pretrained: bool, num_classes: int | None) -> torch.nn.Module:
        options: dict[str, Any] = {} if num_classes is None else {"num_classes": num_classes}
        return _download(lambda: timm.create_model(name, pretrained=pretrained, **options), name)

    def describe(module: torch.nn.Module) -> tuple[camjax.Preprocess, tuple[str, ...] | None]:
        data = importlib.import_module("timm.data")
        config = data.resolve_model_data_config(module)
        height, width = config["input_size"][1:]
        squash = config.get("crop_mode") == "squash"
        preprocess = camjax.Preprocess(
            size=(height, width),
            resize=None if squash else int(min(height, width) / config["crop_pct"]),
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
            layout="NCHW",
            interpolation=config["interpolation"],
        )
        subset = data.infer_imagenet_subset(module)
        if subset is None:
            return preprocess, None
        return preprocess, tuple(data.ImageNetInfo(subset).label_descriptions())

    return Entry(f"timm:{name}", make, describe), names


def _download(make: Callable[[], torch.nn.Module], name: str) -> torch.nn.Module:
    """The module; a failed download in words, and without what the zoos say to their own developers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make()
    except OSError as error:
        raise ConnectionError(
            f"build: the pretrained weights of {name} cannot be downloaded "
            f"({first_line(error)}); pass a file with weights=."
        ) from error
