"""Runs the benchmarks, one after the other, and keeps what they print as one Markdown page.

    .venv/bin/python -m benchmarks --peers PEERS/bin/python [--only gradcam forward ...] [--out results.md]

Nothing else should run on the machine meanwhile. Exits with 1 if a claim does not hold.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
WITH_PEERS = ("cold_start", "gradcam", "evaluations", "memory")
ALONE = (
    "forward",
    "costs",
    "breakdown",
    "convolutions",
    "pages",
    "portions",
    "scaling",
    "conversion",
    "dataset",
    "pointing_transformer",
    "pointing",
)


def main() -> int:
    """Runs, prints and keeps."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", help="the Python of the peers' environment; without it, only what needs none runs")
    parser.add_argument("--only", nargs="+", choices=(*WITH_PEERS, *ALONE), help="these alone")
    parser.add_argument("--out", type=Path, help="the page")
    options = parser.parse_args()
    names = options.only or ((*WITH_PEERS, *ALONE) if options.peers else ALONE)
    if not options.peers and (needs := [name for name in names if name in WITH_PEERS]):
        parser.error(f"--peers: {', '.join(needs)} compares with the peers; give the Python of their environment")
    page, failed = "", []
    for name in names:
        command = [sys.executable, str(HERE / f"{name}.py")]
        command += ["--peers", options.peers] if name in WITH_PEERS else []
        print(f"{name} ...", file=sys.stderr, flush=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            failed.append(name)
        claim = (HERE / f"{name}.py").read_text(encoding="utf-8").removeprefix('"""').partition("\n\n")[0]
        part = f"## {name}\n\n{' '.join(claim.split())}\n\n{done.stdout}\n"
        print(part, flush=True)
        page += part
        if options.out:
            options.out.write_text(page, encoding="utf-8")
    if failed:
        print(f"do not hold, or could not run: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
