"""What makes a function of a setting a law: it fails in words, on the smallest case that can be found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from camjax._model import Model
from camjax.testing._setting import Counterexample, NotApplicable, Setting


class Law(Protocol):
    """A law: raises AssertionError, in words, where it does not hold; `NotApplicable` where it says nothing."""

    __name__: str

    def __call__(self, model: Model, x: Any, **setting: Any) -> None:
        """Checks the law; `setting` are the keywords of `Setting`."""
        ...


def law(body: Callable[[Setting], None]) -> Law:
    """The law whose statement about one setting is `body`.

    Where it does not hold, it is tried on one example after the other, and there on one class after the other: the
    error is about the first of these for which it does not hold either.
    """

    def checked(model: Model, x: Any, **setting: Any) -> None:
        given = Setting(model, x, **setting)
        try:
            body(given)
        except Counterexample as error:
            found = _smaller(body, given.examples()) or error
            found = _smaller(body, found.setting.classes()) or found
            raise AssertionError(f"{body.__name__} does not hold for {found}") from None

    checked.__name__, checked.__qualname__, checked.__doc__ = body.__name__, body.__qualname__, body.__doc__
    checked.__module__ = body.__module__
    return checked


def _smaller(body: Callable[[Setting], None], settings: Iterable[Setting]) -> Counterexample | None:
    # The first setting for which the law does not hold either.
    for setting in settings:
        with contextlib.suppress(NotApplicable):
            try:
                body(setting)
            except Counterexample as found:
                return found
    return None
