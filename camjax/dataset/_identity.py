"""What a run is: everything that its results depend on, and in words how two runs differ."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import camjax
from camjax.dataset._inputs import Inputs
from camjax.dataset._program import Program, Question, fingerprint

# What is not compared: names and places, which change nothing.
ABOUT = ("format", "about")
_WORDS = {
    "model.parameters": "the model's parameters are others",
    "model.program": "the model computes something else",
    "source.fingerprint": "the source's names, sizes or contents are others",
}


def identity(
    inputs: Inputs, model: Any, question: Question, program: Program, chunk: int, about: dict[str, Any]
) -> dict[str, Any]:
    """What a store's attributes say of its run. The same command gives the same.

    `about` holds what else is told of it, and is not compared when it is continued.
    """
    import jax

    asked = {
        field.name: _text(getattr(question, field.name))
        for field in dataclasses.fields(question)
        if field.name not in ("layer", "axes")
    }
    asked["layer"] = list(program.layers)
    return {
        "source": inputs.source.described(),
        "model": fingerprint(model, inputs.example),
        "question": asked,
        "preprocess": None if inputs.pictures is None else _listed(dataclasses.asdict(inputs.pictures)),
        "batch": program.batch,
        "chunk": chunk,
        "versions": {"camjax": camjax.__version__, "jax": jax.__version__},
        "about": {
            "labels": None if model.labels is None else list(model.labels),
            "platform": program.places.devices[0].platform,
            **about,
        },
    }


def differences(stored: dict[str, Any], asked: dict[str, Any]) -> list[str]:
    """In words, what of two runs is not the same; empty where one continues the other.

    >>> differences({"batch": 32, "about": 1}, {"batch": 64, "about": 2})
    ['batch: 32 in the store, now 64']
    """
    before, now = dict(_flat(stored)), dict(_flat(asked))
    different = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    return [_WORDS.get(key) or f"{key}: {before.get(key)} in the store, now {now.get(key)}" for key in different]


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if prefix or key not in ABOUT:
            if isinstance(value, dict):
                yield from _flat(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}", value


def _text(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    # The address of a function in memory is another one in each process.
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _listed(tree: dict[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in tree.items()}
