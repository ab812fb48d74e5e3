"""`camjax methods`: the table of methods, and the whole text of one."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from camjax.cli._errors import UsageError
from camjax.methods import METHODS
from camjax.methods._contract import needs_of


def method_name(typed: str, option: str) -> str:
    """The key in `METHODS` for a name as it was typed; hyphens, underscores and capitals do not matter.

    Raises:
        UsageError: when no method has the name; it names the closest ones.
    """
    key = typed.replace("-", "").replace("_", "").lower()
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
        console.print(Text(_text(method_name(name, "NAME"))), soft_wrap=True)
        return
    if not console.is_terminal:
        console.width = 400  # what is piped is read by a program: a method a line
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("method", "needs", "cost", "choose it", "paper"):
        table.add_column(column, overflow="fold")
    for key, method in METHODS.items():
        cells = (key, ", ".join(needs_of(method())), method.about.cost, method.about.use, method.about.paper)
        table.add_row(*map(Text, cells))
    console.print(table)


def _text(key: str) -> str:
    method: Any = METHODS[key]
    about = method.about
    doc = inspect.cleandoc(method.__doc__ or "")
    return f"{doc}\n\nPaper: {about.paper}\nCost: {about.cost}\nNeeds: {', '.join(needs_of(method()))}"
