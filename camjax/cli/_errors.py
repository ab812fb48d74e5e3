"""What ends a command: one message on the error stream, exit status 2, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

OK, SOME_FAILED, USAGE, UNFINISHED = 0, 1, 2, 3  # unfinished: the same command continues


class UsageError(Exception):
    """The command cannot be carried out as it was given; the text says why and what to do."""


@contextmanager
def one_message() -> Iterator[None]:
    """Print errors that are written for users, of camjax as a whole, and exit with status 2.

    ValueError, ImportError and NotImplementedError are what the core and the adapters raise, in words, for
    a wrong argument, a missing extra and a network that cannot be converted. Anything else is a defect, and
    keeps its traceback.
    """
    import typer

    try:
        yield
    except (UsageError, ValueError, ImportError, NotImplementedError, OSError) as error:
        if isinstance(error, ImportError) and error.name is not None:
            raise  # raised by an import statement, not by somebody who explains what to install
        typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
        typer.echo(str(error), err=True)
        raise typer.Exit(USAGE) from error
