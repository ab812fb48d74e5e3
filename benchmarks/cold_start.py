"""Claim: `camjax explain`, from nothing to a picture on disk, is over before the peers are even imported.

    .venv/bin/python benchmarks/cold_start.py --peers PEERS/bin/python

Runs two commands by turns, each in a fresh process, after one unmeasured round that warms the file cache:
`camjax explain` with the embedded network (starts, loads, compiles, explains, writes the panel), and
`import torch, pytorch_grad_cam` with the peers' Python (nothing is explained). Wall time, processor
time and peak memory are those of `/usr/bin/time`. Prints a Markdown table and exits with 1 if the claim does
not hold for the median wall time.
"""

import argparse
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

PEERS_IMPORT = "import torch, pytorch_grad_cam"
PEERS_VERSIONS = (
    "import platform, importlib.metadata as m; "
    "names = ('torch', 'grad-cam'); "
    "print(', '.join(f'{p} {m.version(p)}' for p in names) + ', Python ' + platform.python_version())"
)


class Run(NamedTuple):
    """What `/usr/bin/time` says about one process."""

    seconds: float
    processor: float
    megabytes: float


def measure(command: list[str], cwd: str) -> Run:
    """Runs `command` in a process of its own; ends with its message if it fails."""
    with tempfile.NamedTemporaryFile("r") as report:
        timed = ["/usr/bin/time", "--format=%e %U %S %M", f"--output={report.name}", *command]
        done = subprocess.run(timed, cwd=cwd, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed: {done.stderr}")
        seconds, user, system, kilobytes = map(float, report.read().split())
    return Run(seconds, user + system, kilobytes / 1024)


def row(what: str, versions: str, runs: list[Run]) -> str:
    """One line of the table: medians, and the fastest and the slowest run."""
    wall, processor, memory = (statistics.median(column) for column in zip(*runs, strict=True))
    fastest, slowest = min(run.seconds for run in runs), max(run.seconds for run in runs)
    cells = (
        what,
        versions,
        f"{wall:.2f} s ({fastest:.2f} to {slowest:.2f})",
        f"{processor:.2f} s",
        f"{memory:.0f} MB",
    )
    return f"| {' | '.join(cells)} |"


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> int:
    """Measures, prints the table and judges the claim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", required=True, help="the Python of the peers' environment")
    parser.add_argument("--repetitions", type=int, default=7)
    options = parser.parse_args()
    peers = str(Path(options.peers).absolute())
    camjax = str(Path(sys.executable).with_name("camjax"))

    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        commands = [([camjax, "explain", "--out", folder], ours), ([peers, "-c", PEERS_IMPORT], theirs)]
        for command, _ in commands:
            measure(command, folder)
        for _ in range(options.repetitions):
            for command, runs in commands:
                runs.append(measure(command, folder))

    names = ("camjax", "jax")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    peers_versions = subprocess.run([peers, "-c", PEERS_VERSIONS], check=True, capture_output=True, text=True).stdout
    print(f"Median of {options.repetitions} (fastest to slowest), {os.cpu_count()} cores of {processor()}:\n")
    print("| | versions | wall time | processor time | peak memory |")
    print("|---|---|---|---|---|")
    print(
        row(
            "`camjax explain`: start, compile, explain, write the picture",
            f"{versions}, Python {platform.python_version()}",
            ours,
        )
    )
    print(row(f"peers: `{PEERS_IMPORT}`, nothing explained", peers_versions.strip(), theirs))
    holds = statistics.median(run.seconds for run in ours) < statistics.median(run.seconds for run in theirs)
    if not holds:
        print("the claim does not hold", file=sys.stderr)
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
