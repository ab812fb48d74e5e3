"""The command line: `camjax explain`, `camjax layers`. Needs the extra `cli`.

Exit status: 0, everything was explained; 1, some pictures were not, each reported with its reason; 2, the
command cannot be carried out as it was given.

Nothing here is imported before it is used: `camjax --help` starts without jax, numpy or Pillow.
"""

from __future__ import annotations

import importlib.util
import sys


def main() -> None:
    """Run the command line with the process's arguments, and exit."""
    missing = [name for name in ("typer", "rich", "PIL", "matplotlib") if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(
            f"camjax: the command line needs {', '.join(missing)}, which is not installed: pip install 'camjax[cli]'"
        )
    from camjax.cli._app import app

    app(prog_name="camjax")
