"""A converted model as one file: its steps as data, its weights as safetensors. Neither side needs torch."""

from __future__ import annotations

import collections
import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import camjax
from camjax_torch._program import Input, Program, Ref, Step, Turned
from camjax_torch.ops import function_of

SUFFIX = ".safetensors"
_KEY, _FORMAT = "camjax", 1


def save(model: camjax.Model, path: str | Path) -> None:
    """Writes a converted model to one file, from which `load(path)` makes it again without torch.

    The file is a safetensors file: the weights in Flax layout, and in its header the operations, their
    scopes, the labels and the preprocessing. A file that exists is replaced when the new one is complete.

    Args:
        model: what `from_torch`, `from_exported` or `load` returned, maybe with other `params`.
        path: the file, `*.safetensors`.

    Raises:
        TypeError: the model was not converted from torch, or its parameters are no longer a flat dict of arrays.
        ValueError: the file's name ends otherwise.
        ImportError: `safetensors` is missing (`pip install 'camjax[saved]'`).

    Example:
        >>> import camjax_torch, tempfile, torch
        >>> path = Path(tempfile.mkdtemp()) / "relu.safetensors"
        >>> save(camjax_torch.from_torch(torch.nn.Linear(3, 2), torch.zeros(1, 3)), path)
        >>> camjax_torch.load(path)(jax.numpy.ones((4, 3))).shape
        (4, 2)
    """
    path = Path(path)
    if not isinstance(model.apply, Program):
        raise TypeError(
            f"save: model computes {getattr(model.apply, '__qualname__', type(model.apply).__name__)}, expected a "
            "model that camjax_torch converted; camjax.export(model, x, path) writes any model, with its explanation."
        )
    keys = {key for _, key in model.apply.parameters}
    if not isinstance(model.params, dict) or set(model.params) != keys:
        raise TypeError(
            "save: model.params must be the flat dict of from_torch, with its names; its values may differ."
        )
    if path.suffix != SUFFIX:
        raise ValueError(f"save: {path} must end in {SUFFIX}, by which load knows it; call it {path.stem}{SUFFIX}.")
    numpy = _safetensors("save", path).numpy
    about = {
        "format": _FORMAT,
        "program": _to_data(model.apply),
        "labels": model.labels,
        "preprocess": None if model.preprocess is None else dataclasses.asdict(model.preprocess),
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in model.params.items()}
    unfinished = path.with_name(path.name + ".part")
    try:
        numpy.save_file(arrays, unfinished, metadata={_KEY: json.dumps(about)})
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def read(
    path: Path, labels: Sequence[str] | None = None, preprocess: camjax.Preprocess | None = None
) -> camjax.Model | None:
    """The model that `save` wrote, or None for another safetensors file. Nothing in the file is executed.

    Raises:
        ValueError: the file is damaged, or of a later format.
        NotImplementedError: it needs operations that were entered by `camjax_torch.op` when it was saved.
        ImportError: `safetensors` is missing.
    """
    safetensors = _safetensors("load", path)
    try:
        with safetensors.safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(_KEY)
            if text is None:
                return None
            about = json.loads(text)
            if about["format"] != _FORMAT:
                raise ValueError(f"it has format {about['format']}, expected {_FORMAT}; update camjax")
            params = {name: jax.device_put(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 (no dict)
            program = _from_data(about["program"])
    except safetensors.SafetensorError as error:
        raise ValueError(f"load: {path} is damaged or is not a safetensors file: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"load: {path} is damaged, or no file that camjax_torch.save wrote: {error}.") from error
    if missing := sorted({step.operation for step in program.steps if function_of(step.operation) is None}):
        raise NotImplementedError(
            f"load: {path} uses {', '.join(missing)}, which the table lacks; enter it with camjax_torch.op(NAME) "
            "first, as where the file was saved."
        )
    own = about["labels"] if labels is None else labels
    if preprocess is None and about["preprocess"] is not None:
        preprocess = camjax.Preprocess.from_dict(about["preprocess"])
    return camjax.Model(program, params, None if own is None else tuple(own), preprocess)


def _safetensors(function: str, path: Path) -> Any:
    try:
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(f"{function}: {path} needs safetensors: pip install 'camjax[saved]'.") from error
    return safetensors


_RECORDS = {record.__name__: record for record in (Program, Step, Input, Ref, Turned)}


def _to_data(tree: Any) -> Any:
    """The program as what JSON has; what JSON lacks is a one-entry dict of its kind."""
    if type(tree) in _RECORDS.values():
        fields = (getattr(tree, field.name) for field in dataclasses.fields(tree))
        return {type(tree).__name__: [_to_data(value) for value in fields]}
    if isinstance(tree, dict):
        return {"dict": [[key, _to_data(item)] for key, item in tree.items()]}
    if isinstance(tree, list | tuple):
        items = [_to_data(item) for item in tree]
        if fields := getattr(tree, "_fields", None):
            return {"namedtuple": [type(tree).__name__, fields, items]}
        return {"tuple": items} if isinstance(tree, tuple) else items
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    raise TypeError(f"save: an argument of the program is a {type(tree).__name__}, which has no form in a file.")


def _from_data(data: Any) -> Any:
    if isinstance(data, list):
        return [_from_data(item) for item in data]
    if not isinstance(data, dict):
        return data
    ((kind, content),) = data.items()
    if kind == "dict":
        return {key: _from_data(item) for key, item in content}
    if kind == "namedtuple":
        name, fields, items = content
        return collections.namedtuple(name, fields)(*_from_data(items))
    items = _from_data(content)
    return tuple(items) if kind == "tuple" else _RECORDS[kind](*items)
