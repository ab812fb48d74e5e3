"""A user's own function by its name, `MODULE:FUNCTION`."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from typing import Any


def made(where: str, name: str, expected: str, refused: type[Exception], *arguments: Any) -> Any:
    """What the function returns for `arguments`; the working folder is searched for its module, too.

    Args:
        where: what the user wrote, for messages.
        name: `MODULE:FUNCTION`, or `MODULE:OBJECT.METHOD`.
        expected: what the function should return, in words.
        refused: what is raised, with the place in the user's code where it went wrong.
    """
    module_name, _, attribute = name.partition(":")
    sys.path.insert(0, os.getcwd())  # the installed script's own folder stands there, not the user's
    try:
        factory: Any = importlib.import_module(module_name)
        for part in filter(None, attribute.split(".")):
            factory = getattr(factory, part)
        if not callable(factory):
            raise refused(f"{where}: {name} is no function; expected one that returns {expected}.")
        return factory(*arguments)
    except refused:
        raise
    except Exception as error:  # the user's own code may raise anything; its place is what helps
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise refused(f"{where}: {type(error).__name__}: {error} ({last.filename}, line {last.lineno})") from error
    finally:
        sys.path.remove(os.getcwd())
