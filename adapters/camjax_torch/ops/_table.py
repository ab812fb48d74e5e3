"""The operation table: which JAX function computes each ATen operation."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, SimpleNamespace
from typing import Any, TypeVar

Operation = Callable[..., Any]
F = TypeVar("F", bound=Operation)

TABLE: dict[str, Operation] = {}
"""Operations by name, `"add.Tensor"`; each function takes the arguments of the ATen schema, in its order."""

IDENTITIES: set[str] = set()
"""The operations that, in evaluation, hand over their first argument unchanged."""

_PYTHON: dict[str, Any] = {
    "_operator": operator,
    "math": math,
    "torch": SimpleNamespace(
        sym_float=float, sym_int=int, sym_max=max, sym_min=min, sym_not=operator.not_, sym_sum=sum
    ),
}
"""Where the functions are that a graph computes axis lengths with, by the modules that it has them from."""


def function_of(name: str) -> Operation | None:
    """The function of a name, in the table or of Python's arithmetic on axis lengths; None if there is none."""
    module, _, own = name.partition(".")
    return TABLE.get(name) or getattr(_PYTHON.get(module), own, None)


def op(*names: str, identity: bool = False) -> Callable[[F], F]:
    """Enter a function in the table under the names of the ATen overloads that it computes."""

    def enter(function: F) -> F:
        for name in names:
            if name in TABLE:
                raise ValueError(f"the operation {name} is in the table twice")
            TABLE[name] = function
            if identity:
                IDENTITIES.add(name)
        return function

    return enter


def name_of(target: Any) -> str:
    """The name of a graph node's target: `aten.add_.Tensor` and `aten.add.Tensor` are both `add.Tensor`.

    The in-place form of an operation computes the same values; which value it replaces is not the table's
    business. A function of Python is named with its module, `_operator.getitem`.
    """
    text = str(target)
    if not text.startswith("aten."):
        own = getattr(target, "__name__", text)
        return f"{target.__module__}.{own}" if _is_plain(target) else text
    packet, _, overload = text.removeprefix("aten.").partition(".")
    if not packet.endswith("__"):  # Python's operators, `__and__`
        packet = packet.removesuffix("_")
    return f"{packet}.{overload}"


def _is_plain(target: Any) -> bool:
    return isinstance(target, FunctionType | BuiltinFunctionType)


def is_in_place(target: Any) -> bool:
    """Whether the operation writes its first argument (`relu_`, `add_`)."""
    schema = getattr(target, "_schema", None)
    first = schema.arguments[0].alias_info if schema is not None and schema.arguments else None
    return first is not None and first.is_write
