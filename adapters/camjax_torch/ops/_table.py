"""The operation table: which JAX function computes each ATen operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Operation = Callable[..., Any]
F = TypeVar("F", bound=Operation)

TABLE: dict[str, Operation] = {}
"""Operations by name, `"add.Tensor"`; each function takes the arguments of the ATen schema, in its order."""

IDENTITIES: set[str] = set()
"""The operations that, in evaluation, hand over their first argument unchanged."""


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
    """The table's name of a graph node's target: `aten.add_.Tensor` and `aten.add.Tensor` are both
    `add.Tensor`.

    The in-place form of an operation computes the same values; which value it replaces is not the table's
    business.
    """
    text = str(target)
    if not text.startswith("aten."):
        return text
    packet, _, overload = text.removeprefix("aten.").partition(".")
    if not packet.endswith("__"):  # Python's operators, `__and__`
        packet = packet.removesuffix("_")
    return f"{packet}.{overload}"


def is_in_place(target: Any) -> bool:
    """Whether the operation writes its first argument (`relu_`, `add_`)."""
    schema = getattr(target, "_schema", None)
    first = schema.arguments[0].alias_info if schema is not None and schema.arguments else None
    return first is not None and first.is_write
