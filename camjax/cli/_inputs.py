"""From the paths on the command line to the pictures to explain, and the files to write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from camjax.cli._errors import UsageError
from camjax.images import FORMATS, SUFFIXES

PANEL = ".cam.png"


class Source(NamedTuple):
    """A picture to explain, and what its output files are called (without suffix)."""

    path: Path
    stem: str


class Inputs(NamedTuple):
    """What there is to do; `failures` are (path, reason), `skipped` counts other files in folders."""

    sources: list[Source]
    failures: list[tuple[str, str]]
    skipped: int


def collect(paths: Sequence[Path], out: Path) -> Inputs:
    """The pictures that the paths name; folders are searched through, in alphabetical order.

    In folders, files count by their suffix, and camjax's own panels and hidden files do not. A picture
    that is named twice is explained once. Files with the same name get different output names.

    Raises:
        UsageError: when there is nothing to explain at all.
    """
    found: list[Path] = []
    failures: list[tuple[str, str]] = []
    skipped = 0
    for path in paths:
        if not path.exists():
            failures.append((str(path), "no such file or folder; check the path."))
        elif path.is_dir():
            unreadable: list[OSError] = []
            files = list(_walk(path, out, unreadable))
            failures += [(str(error.filename), f"{error.strerror}.") for error in unreadable]
            pictures = [file for file in files if file.suffix.lower() in SUFFIXES]
            skipped += len(files) - len(pictures)
            found += pictures
            if not pictures and not unreadable:
                failures.append((str(path), _empty(files)))
        else:
            found.append(path)
    unique = list({path.resolve(): path for path in found}.values())
    if not unique:
        reasons = "".join(f"\n  {path}: {reason}" for path, reason in failures)
        raise UsageError(f"there is no picture to explain.{reasons}")
    taken = {str(path.resolve()).casefold() for path in unique}
    return Inputs([Source(path, _stem(path, out, taken)) for path in unique], failures, skipped)


def prepare(out: Path) -> None:
    """Make the output folder, and see that it can be written to, before anything is computed.

    Raises:
        UsageError: when it cannot.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".camjax-probe"
        probe.touch()
        probe.unlink()
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(f"--out: {out} is, or lies below, a file; give a folder.") from error
    except OSError as error:
        raise UsageError(f"--out: {out} cannot be written to ({error.strerror}); give another folder.") from error


def _walk(folder: Path, out: Path, unreadable: list[OSError]) -> Iterable[Path]:
    for parent, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and Path(parent, f).resolve() != out.resolve())
        yield from (Path(parent, f) for f in sorted(files) if not f.startswith(".") and not f.endswith(PANEL))


def _stem(path: Path, out: Path, taken: set[str]) -> str:
    """A name whose files overwrite no input and no other output; upper case counts as lower."""
    number = 1
    while True:
        stem = path.stem if number == 1 else f"{path.stem}-{number}"
        files = {str((out / f"{stem}{suffix}").resolve()).casefold() for suffix in (PANEL, ".npz")}
        if not files & taken:
            taken |= files
            return stem
        number += 1


def _empty(files: Sequence[Path]) -> str:
    if not files:
        return "the folder is empty."
    kinds = sorted({file.suffix or file.name for file in files})
    only = ", ".join(kinds[:5]) + (" ..." if len(kinds) > 5 else "")
    return (
        f"the folder has no picture, only {only}; camjax reads {', '.join(FORMATS)}. "
        "A picture with another suffix can be named by itself."
    )
