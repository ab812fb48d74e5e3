"""What this room needs beside jax and numpy."""

from __future__ import annotations

import importlib.util

PACKAGES = {
    "grain": "grain",
    "tensorstore": "tensorstore",
    "zarr": "zarr",
    "google_crc32c": "google-crc32c",
    "PIL": "pillow",
}


def need() -> None:
    """That the extra is installed.

    Raises:
        ImportError: in words, what is missing and how to install it.
    """
    missing = [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ImportError(f"camjax.dataset needs {', '.join(missing)}: pip install 'camjax[dataset]'")
