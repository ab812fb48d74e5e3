"""`load`: a file of weights, and the name of its architecture, or a whole program, as a camjax model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import camjax
from camjax_torch import _saved
from camjax_torch._files import existing_file, first_line

if TYPE_CHECKING:
    import torch


def load(
    path: str | Path,
    arch: str | torch.nn.Module | Callable[[], torch.nn.Module] | None = None,
    example: Any = None,
    labels: Sequence[str] | None = None,
    preprocess: camjax.Preprocess | None = None,
) -> camjax.Model:
    """A file of PyTorch weights as a camjax model; nothing in the file is executed.

    Args:
        path: a converted model that `save` wrote (`.safetensors`; it needs no torch), a program of
            `torch.export.save` (`.pt2`), or a `state_dict`: `.safetensors`, or what
            `torch.save` wrote (`.pth`, `.pt`, `.th`, ...). Usual containers (`state_dict`, `model`,
            averaged weights) and prefixes (`module.`, `model.`) are undone.
        arch: what the weights belong to, for a `state_dict`: `"torchvision:resnet50"`,
            `"timm:vit_tiny_patch16_224"`, or the bare name (torchvision's, else timm's), built with as many
            classes as the weights have; or a module, which stays as it is; or a function that makes one.
        example: an input, as for `from_torch`; the architectures of the zoos know their own.
        labels: the names of the classes; by default those of the zoo's architecture where the number of
            classes agrees.
        preprocess: how a picture becomes an input; by default the zoo's own configuration.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file would run code, is damaged, or its weights do not fit the architecture
            (missing, unexpected and misshapen ones are listed, as torch does).
        NotImplementedError: operations that no JAX function is known for.

    Example:
        >>> import tempfile, torch
        >>> path = Path(tempfile.mkdtemp()) / "weights.pth"
        >>> torch.save(torch.nn.Linear(4, 2).state_dict(), path)
        >>> load(path, arch=lambda: torch.nn.Linear(4, 2), example=torch.zeros(1, 4)).params["weight"].shape
        (4, 2)
    """
    path = existing_file(path)
    whole = _saved.read(path, labels, preprocess) if path.suffix == _saved.SUFFIX else None
    if arch is not None and (whole is not None or path.suffix == ".pt2"):
        raise ValueError(f"load: {path} is a whole program and needs no architecture; leave arch out, got {arch!r}.")
    if whole is not None:
        return whole
    if path.suffix == ".pt2":
        return _convert_program(path, labels, preprocess)
    if arch is None:
        raise ValueError(
            f"load: {path} holds weights without their network; say which with arch=, for example "
            'arch="torchvision:resnet50", arch="timm:resnet50.a1_in1k", or a torch.nn.Module.'
        )
    import torch

    from camjax_torch import _checkpoint, zoo
    from camjax_torch._convert import from_torch

    state = _checkpoint.read_state_dict(path)
    if isinstance(arch, str):
        return zoo.convert(zoo.entry(arch), state=state, origin=str(path), example=example, labels=labels,
                           preprocess=preprocess)  # fmt: skip
    module = copy.deepcopy(arch) if isinstance(arch, torch.nn.Module) else arch()
    if example is None:
        raise ValueError(
            f"load: example is needed to convert a {type(module).__name__}: a tensor of the input's shape "
            "with the batch axis first, for example torch.zeros(1, 3, 224, 224)."
        )
    zoo.load_weights(module, state, str(path))
    return from_torch(module, example, labels=labels, preprocess=preprocess)


def _convert_program(path: Path, labels: Sequence[str] | None, preprocess: camjax.Preprocess | None) -> camjax.Model:
    import torch

    from camjax_torch._convert import from_exported

    try:
        exported = torch.export.load(path)
    except Exception as error:  # torch names no exception for a file that is not a program
        raise ValueError(
            f"load: {path} is damaged or is not a program of torch.export.save: {first_line(error)}"
        ) from error
    return from_exported(exported, labels=labels, preprocess=preprocess)
