"""The function `apply(params, x)` of a module: which arguments it gets, and when two of them are the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any


class Apply:
    """A function of `(params, x)` that equals another one made from an equal module.

    Programs are compiled per `apply`, so wrapping the same architecture again (after a training step, say)
    compiles nothing. A configuration that cannot be hashed equals only itself.
    """

    def __init__(self, run: Callable[[Any, Any], Any], *key: Any) -> None:
        try:
            self._hash = hash(key)
        except TypeError:
            key = (object(),)
            self._hash = hash(key)
        self._run, self._key = run, key

    def __call__(self, params: Any, x: Any) -> Any:
        return self._run(params, x)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Apply) and self._hash == other._hash and self._key == other._key


class Inputs:
    """How the input `x` of a model becomes the arguments of a module's method.

    Args:
        function: the unbound method; its first parameter is the module.
        settings: the keyword arguments that every call gets.
        options: names among `settings` that are not the method's own.
        adapter: the adapter's name, for messages.
        name: what the method is called in messages.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        settings: Mapping[str, Any],
        *,
        options: Collection[str] = (),
        adapter: str,
        name: str,
    ) -> None:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        takes = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            for setting in settings:
                if setting not in takes and setting not in options:
                    raise TypeError(
                        f"{adapter}: {name} has no argument {setting!r}; it takes {', '.join(takes) or 'none'}."
                    )
        required = [p for p in parameters if p.default is p.empty and p.name not in settings]
        for p in required:
            if p.kind is p.KEYWORD_ONLY:
                raise TypeError(f"{adapter}: {name} needs the keyword {p.name!r}; give {adapter}(..., {p.name}=...).")
        self._needs = [p.name for p in required if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self._settings, self._adapter, self._name = dict(settings), adapter, name

    def __call__(self, x: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The positional and the keyword arguments for the input `x`.

        A method with one required argument gets `x` as it is; one with several gets the items of the tuple,
        or of the mapping by name.
        """
        if len(self._needs) <= 1:
            return (x,), self._settings
        if isinstance(x, (tuple, list)) and len(x) == len(self._needs):
            return tuple(x), self._settings
        if isinstance(x, Mapping) and set(x) == set(self._needs):
            return tuple(x[name] for name in self._needs), self._settings
        got = f"{type(x).__name__} of {len(x)}" if isinstance(x, (tuple, list, Mapping)) else "one input"
        names = ", ".join(self._needs)
        raise TypeError(
            f"{self._adapter}: {self._name} needs {len(self._needs)} arguments ({names}), got {got}. Give "
            f"settings as keywords, {self._adapter}(..., {self._needs[-1]}=...), and several inputs as the "
            f"tuple x = ({names})."
        )
