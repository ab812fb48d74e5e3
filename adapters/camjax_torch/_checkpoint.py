"""Files of weights: read without running code, and brought to the key names of a module."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from camjax_torch._files import first_line

StateDict = dict[str, torch.Tensor]

CONTAINERS = (
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
)
"""Where training scripts put the weights; averaged weights first, they are the ones to evaluate."""

PREFIXES = ("module.", "model.", "_orig_mod.")
"""What data parallelism, training frameworks and `torch.compile` put before every key."""


def read_state_dict(path: Path) -> StateDict:
    """The weights in a `.safetensors` file or in what `torch.save` wrote (`.pth`, `.pt`, `.th`, `.bin`,
    `.ckpt`).

    Nothing in the file is executed.

    Raises:
        ValueError: the file would run code, is damaged, or holds no weights; the message names it.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(_refusal(path, str(error))) from error
    except (RuntimeError, EOFError, zipfile.BadZipFile, ValueError, KeyError) as error:
        raise ValueError(f"load: {path} is damaged or is not a file of torch.save: {first_line(error)}") from error
    return _weights_in(content, path)


def _read_safetensors(path: Path) -> StateDict:
    try:
        import safetensors
        import safetensors.torch
    except ImportError as error:
        raise ImportError(f"load: reading {path} needs safetensors: pip install 'camjax[torch]'.") from error
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"load: {path} is damaged or is not a safetensors file: {error}") from error


def _refusal(path: Path, report: str) -> str:
    """Why torch's weights-only reader stopped: a damaged file, or one that names functions to call."""
    named = re.search(r"(?:GLOBAL|Global|global) `?([\w.]+)`?", report)
    if named is None:
        return f"load: {path} is damaged or is not a file of torch.save: {report.strip().splitlines()[0]}"
    return (
        f"load: {path} is refused: besides weights it asks for {named.group(1)}, and a pickle that may name "
        "functions can run any code when it is opened. If you trust its origin, open it yourself and save "
        "the weights alone: torch.save(module.state_dict(), 'weights.pth'), or use the safetensors format."
    )


def _weights_in(content: Any, path: Path) -> StateDict:
    """The mapping of names to tensors inside what the file holds."""
    while isinstance(content, Mapping):
        inner = next((content[key] for key in CONTAINERS if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    if isinstance(content, Mapping):
        weights = {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}
        if weights:
            return weights
    found = f"the keys {list(content)[:8]}" if isinstance(content, Mapping) else f"a {type(content).__name__}"
    raise ValueError(
        f"load: {path} holds no weights, but {found}; expected a state_dict (names to tensors), by itself or "
        f"under one of {', '.join(CONTAINERS)}."
    )


def fit_keys(state: StateDict, expected: Iterable[str]) -> StateDict:
    """The weights with the prefixes undone that keep their names from those of the module.

    Of all ways to drop leading prefixes the one that meets most of the expected names is taken, the
    shortest first.

    Example:
        >>> list(fit_keys({"module.fc.weight": torch.zeros(1)}, ["fc.weight"]))
        ['fc.weight']
    """
    expected = set(expected)
    candidates, pending = [state], [state]
    while pending:
        current = pending.pop()
        for prefix in PREFIXES:
            if any(key.startswith(prefix) for key in current):
                pending.append({key.removeprefix(prefix): value for key, value in current.items()})
                candidates.append(pending[-1])
    best = max(candidates, key=lambda candidate: len(expected & candidate.keys()))
    # the counter of torch.optim.swa_utils.AveragedModel is no weight of the module
    return {key: value for key, value in best.items() if key in expected or key != "n_averaged"}
