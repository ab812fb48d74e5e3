"""Runs the benchmarks, one after the other; each prints a page of Markdown.

    .venv/bin/python -m benchmarks --peers PEERS/bin/python [--out benchmarks] [--charts docs]
    .venv/bin/python -m benchmarks --peers PEERS/bin/python --only gradcam --rounds 3

What comes after `--only` with a single name and is none of the runner's own goes to that benchmark, whose docstring
says what it takes. With `--out` each page is kept in that folder, with `--charts` the charts are. Nothing else should
run on the machine meanwhile. A page says so if its claim did not hold, and then the exit status is 1.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TITLES = {
    "cold_start": "From a shell to a picture",
    "gradcam": "Grad-CAM beside the peers",
    "evaluations": "Methods that evaluate the model many times",
    "memory": "Peak memory beside the peers",
    "forward": "Forward passes and Grad-CAM beside PyTorch",
    "costs": "What methods cost, in forward passes",
    "breakdown": "Where the time goes",
    "convolutions": "Convolutions on a CPU",
    "portions": "Batches in portions on a CPU",
    "scaling": "How time and memory grow",
    "conversion": "From PyTorch to JAX",
    "dataset": "From files and from memory",
    "pointing_transformer": "Where the maps of a vision transformer point",
    "pointing": "Where maps point",
}
WITH_PEERS = ("cold_start", "gradcam", "evaluations", "memory")
CHARTS = ("gradcam", "scaling")


def page(name: str, arguments: list[str], printed: str, holds: bool, chart: str) -> str:
    """What a benchmark printed, with its title, and its claim, and whether that held; and its chart, if it has one."""
    docstring = (HERE / f"{name}.py").read_text(encoding="utf-8").removeprefix('"""Claim: ')
    claim, how = " ".join(docstring.partition("\n\n")[0].split()), shlex.join([f"{name}.py", *arguments])
    verdict = "It held." if holds else "In this run it did not hold."
    return (
        f"# {TITLES[name]}\n\nMade by `benchmarks/{how}`, which says what the columns are. The claim: {claim} {verdict}"
        f"\n\n{printed.strip()}\n" + (f"\n![{TITLES[name]}]({chart})\n" if chart else "")
    )


def main() -> int:
    """Runs, prints and keeps."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--peers", help="the Python of the peers' environment; without it, only what needs none runs")
    parser.add_argument("--only", nargs="+", choices=TITLES, help="these alone")
    parser.add_argument("--out", type=Path, help="the folder for the pages")
    parser.add_argument("--charts", type=Path, help="the folder for the charts")
    options, arguments = parser.parse_known_args()
    names = options.only or [name for name in TITLES if options.peers or name not in WITH_PEERS]
    if not options.peers and (needs := [name for name in names if name in WITH_PEERS]):
        parser.error(f"--peers: {', '.join(needs)} compares with the peers; give the Python of their environment")
    if arguments and len(names) != 1:
        parser.error(f"{shlex.join(arguments)}: for a single benchmark alone; name it by --only")
    for folder in filter(None, (options.out, options.charts)):
        folder.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in names:
        command = [sys.executable, str(HERE / f"{name}.py"), *arguments]
        command += ["--peers", options.peers] if name in WITH_PEERS else []
        chart = options.charts / f"{name}.png" if options.charts and name in CHARTS else None
        command += ["--chart", str(chart)] if chart else []
        print(f"{name} ...", file=sys.stderr, flush=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            failed.append(name)
        beside = os.path.relpath(chart, options.out or Path()) if chart else ""
        made = page(name, arguments, done.stdout, done.returncode == 0, beside)
        print(made, flush=True)
        if options.out and done.stdout:
            (options.out / f"{name}.md").write_text(made, encoding="utf-8")
    if failed:
        print(f"do not hold, or could not run: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
