"""`camjax methods`: the table of methods, and the whole text of one."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from camjax import saliency
from camjax.cli._errors import UsageError
from camjax.methods import METHODS
from camjax.methods._contract import needs_of


def method_name(typed: str, option: str) -> str:
    """The key in `METHODS` for a name as it was typed; hyphens, underscores and capitals do not matter.

    Raises:
        UsageError: when no method has the name; it names the closest ones.
    """
    key = _plain(typed)
    if key in saliency.METHODS:
        raise UsageError(
            f"{option}: {typed!r} gives values in input space and draws no class-activation map; use it from Python: "
            f"camjax.attribute(model, x, method=camjax.saliency.{saliency.METHODS[key].__name__}())."
        )
    if key not in METHODS:
        close = " or ".join(map(repr, difflib.get_close_matches(key, METHODS, n=2, cutoff=0.0)))
        raise UsageError(f"{option}: no method is called {typed!r}; did you mean {close}? `camjax methods` lists all.")
    return key


def show(name: str | None) -> None:
    """Print the table, or what one method computes.

    Raises:
        UsageError: when no method has the name.
    """
    console = Console(highlight=False)
    if name is not None:
        key = _plain(name)
        whole = _text(saliency.METHODS[key]) if key in saliency.METHODS else _text(METHODS[method_name(name, "NAME")])
        console.print(Text(whole), soft_wrap=True)
        return
    if not console.is_terminal:
        console.width = 400  # what is piped is read by a program: a method a line
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("method", "needs", "cost", "choose it", "paper"):
        table.add_column(column, overflow="fold")
    for key, method in METHODS.items():
        table.add_row(*_cells(key, method))
    table.add_row(Text("camjax.attribute", style="bold"), Text("in input space, from Python:", style="bold"))
    for key, method in saliency.METHODS.items():
        table.add_row(*_cells(key, method))
    console.print(table)


def _plain(typed: str) -> str:
    return typed.replace("-", "").replace("_", "").lower()


def _cells(key: str, method: Any) -> tuple[Text, ...]:
    about = method.about
    return tuple(map(Text, (key, _needs(method), about.cost, about.use, about.paper)))


def _needs(method: Any) -> str:
    if not issubclass(method, saliency.Saliency):
        return ", ".join(needs_of(method()))
    return "gradients of the input" + ", key" * method.random + ", ReLUs" * (method.rule is not None)


def _text(method: Any) -> str:
    about = method.about
    doc = inspect.cleandoc(method.__doc__ or "")
    return f"{doc}\n\nPaper: {about.paper}\nCost: {about.cost}\nNeeds: {_needs(method)}"
