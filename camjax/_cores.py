"""How many processors this process may use, which a cluster or a container makes fewer than there are."""

from __future__ import annotations

import os


def cores() -> int:
    """Those that it may run on, where the system says so; else all.

    >>> cores() >= 1
    True
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1
