"""The peers' process, from our side."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any


class Peers:
    """The process: `peers(request)` is its answer, as `_peer.py` says."""

    def __init__(self, python: str) -> None:
        command = [str(Path(python).absolute()), str(Path(__file__).with_name("_peer.py"))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, **request: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        if not (line := self._process.stdout.readline()):
            raise SystemExit(f"the peers' process ended with {self._process.wait()}; its messages are above")
        return json.loads(line)
