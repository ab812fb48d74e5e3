"""Absolute named scopes around module calls, by which camjax finds layers in a traced program."""

from __future__ import annotations

import collections
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
from jax.ad_checkpoint import checkpoint_name

IDENTITY = "camjax:identity"  # the name of the output of a module that computes nothing


class Calls:
    """The module calls of one forward pass: how many were made per path, and which ones are still running."""

    def __init__(self) -> None:
        self._made: collections.Counter[str] = collections.Counter()
        self._running: set[str] = set()

    def run(
        self,
        paths: Iterable[str],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """`function(*args, **kwargs)` inside the scope `@path#call` of each of `paths`.

        A path that is already running is not opened again: `super().__call__` belongs to the same call.
        A module that hands its input back leaves no equation, so it would not be seen at all; an identity
        equation is put in its place.
        """
        paths = [path for path in paths if path not in self._running]
        if not paths:
            return function(*args, **kwargs)
        with contextlib.ExitStack() as stack:
            for path in paths:
                stack.enter_context(jax.named_scope(f"@{path}#{self._made[path]}"))
                stack.callback(self._running.discard, path)
                self._made[path] += 1
                self._running.add(path)
            out = function(*args, **kwargs)
            if isinstance(out, jax.Array) and any(out is given for given in (*args, *kwargs.values())):
                return checkpoint_name(out, IDENTITY)
            return out


def mark_silent(paths: Iterable[str], out: jax.Array) -> None:
    """Names modules that ran in scopes which their framework opened, so that those without an equation are listed.

    An identity equation of `out`, which nobody reads, is put into the scope of each of `paths`; beside equations of
    the module's own it says nothing.
    """
    for path in paths:
        with jax.named_scope(path):
            checkpoint_name(out, IDENTITY)


def is_forward(method: str) -> bool:
    """Whether a method of this name can be a layer: `__call__`, and what a class makes public."""
    return method == "__call__" or (method.isidentifier() and method != "setup" and not method.startswith("_"))


def scope_name(path: Iterable[Any], method: str) -> str:
    """The name of a layer: the module's path, and the method unless it is `__call__`.

    Example:
        >>> scope_name(("blocks", 0, "conv"), "__call__"), scope_name(("encoder",), "encode")
        ('blocks.0.conv', 'encoder.encode')
    """
    return ".".join(map(str, (*path, *(() if method == "__call__" else (method,)))))
