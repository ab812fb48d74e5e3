"""How pictures become the model's input: its own way, changed by the options."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

from camjax.cli._errors import UsageError
from camjax.images import INTERPOLATIONS

if TYPE_CHECKING:
    from camjax import Model, Preprocess


class Overrides(NamedTuple):
    """The options as they were typed; None where they were not."""

    size: str | None = None
    resize: str | None = None
    mean: str | None = None
    std: str | None = None
    scale: float | None = None
    layout: str | None = None
    interpolation: str | None = None


def resolve(model: Model, spec: str, overrides: Overrides) -> Preprocess:
    """The model's own preprocessing, or ImageNet's where it brings none, with the options put in.

    Then the channels are last, unless the SPEC says that the model comes from PyTorch.

    Raises:
        UsageError: for an option that cannot be read, or that does not go with the others.
    """
    from camjax import Preprocess

    changes: dict[str, object] = {}
    if (asked := size(overrides)) is not None:
        changes["size"] = asked
    if overrides.resize is not None:
        changes["resize"] = None if overrides.resize.lower() == "none" else _whole("--resize", overrides.resize)
    for name in ("mean", "std"):
        if (text := getattr(overrides, name)) is not None:
            changes[name] = _numbers(f"--{name}", text)
    if overrides.scale is not None:
        changes["scale"] = overrides.scale
    if overrides.layout is not None:
        changes["layout"] = _choice("--layout", overrides.layout.upper(), ("NHWC", "NCHW"))
    if overrides.interpolation is not None:
        changes["interpolation"] = _choice("--interpolation", overrides.interpolation.lower(), INTERPOLATIONS)
    own = model.preprocess or Preprocess(layout="NCHW" if spec.startswith("torch") else "NHWC")
    new = dataclasses.replace(own, **changes)
    if new.resize is not None and new.resize < max(new.size):
        raise UsageError(
            f"--resize: the shorter side gets {new.resize} pixels, less than --size {describe_size(new)}; "
            f"give --resize {max(new.size)} or more, or --resize none."
        )
    if len(new.mean) != len(new.std) or len(new.mean) not in (1, 3):
        raise UsageError(
            f"--mean, --std: got {len(new.mean)} and {len(new.std)} numbers; both take 3 (RGB) or 1 (grey)."
        )
    if 0 in new.std or new.scale == 0:
        raise UsageError("--std, --scale: pixels are divided by them, so they may not be 0.")
    return new


def shape(spec: Preprocess) -> tuple[int, ...]:
    """The shape of the input for one picture, with the batch axis."""
    if spec.layout == "NHWC":
        return (1, *spec.size, len(spec.mean))
    return (1, len(spec.mean), *spec.size)


def describe(spec: Preprocess) -> str:
    """One line for the report."""
    first = f"shorter side to {spec.resize}, centre" if spec.resize else "stretched to"
    mean, std = (",".join(f"{value:g}" for value in values) for values in (spec.mean, spec.std))
    values = f"(pixel / {spec.scale:g} - {mean}) / {std}"
    return f"{first} {describe_size(spec)}, {spec.interpolation}, {values}, {spec.layout}"


def describe_size(spec: Preprocess) -> str:
    """Height x width."""
    return f"{spec.size[0]}x{spec.size[1]}"


def size(overrides: Overrides) -> tuple[int, int] | None:
    """Height and width that `--size` asks for, if it is given.

    Raises:
        UsageError: for a size that cannot be read.
    """
    if overrides.size is None:
        return None
    text = overrides.size
    sides = [_whole("--size", side) for side in text.lower().split("x")]
    if len(sides) > 2:
        raise UsageError(f"--size: got {text!r}, expected N or HEIGHTxWIDTH, for example 224 or 224x320.")
    return sides[0], sides[-1]


def _whole(option: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) == 0:
        raise UsageError(f"{option}: got {text!r}, expected a number of pixels, for example 224.")
    return int(text)


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"{option}: got {text!r}, expected numbers and commas, for example 0.485,0.456,0.406."
        ) from error


def _choice(option: str, got: str, known: tuple[str, ...]) -> str:
    if got not in known:
        raise UsageError(f"{option}: got {got!r}, expected one of {', '.join(known)}.")
    return got
