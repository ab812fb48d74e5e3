"""What the readers of files share."""

from __future__ import annotations

from pathlib import Path


def existing_file(path: str | Path) -> Path:
    """The path, or an error that says what is there instead of a file."""
    path = Path(path)
    if path.is_file():
        return path
    if path.is_dir():
        raise IsADirectoryError(f"load: {path} is a folder; name the file of weights inside it.")
    where = "its folder does not exist either" if not path.parent.is_dir() else "its folder exists"
    raise FileNotFoundError(f"load: no file {path} ({where}); check the path.")


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
