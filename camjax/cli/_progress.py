"""How far a run over a data set is: while it runs, at its end, and asked from elsewhere (`camjax status`)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from camjax.cli._errors import OK, SOME_FAILED, UNFINISHED

if TYPE_CHECKING:
    from camjax.dataset import Progress, Share, Store

EVERY = 10.0  # seconds between two lines in a log
SHOWN = 20  # failures that are listed; the store has all of them


def status(path: Path, as_json: bool) -> int:
    """Print how far a run is; returns the exit status.

    Raises:
        ValueError: there is no store.
    """
    from camjax import dataset

    store = dataset.open(path)
    progress = store.progress()
    if as_json:
        print(json.dumps({**_facts(progress), "running": store.running, "written": store.written}))
    else:
        console = Console(highlight=False)
        asked = store.description["question"]
        console.print(
            Text(f"{path}: {asked['method'].removesuffix('()')} at {', '.join(asked['layer'])}"), soft_wrap=True
        )
        console.print(Text(", ".join([_line(progress), *_life(store, progress)])), soft_wrap=True)
        _list(console, store)
    return UNFINISHED if progress.done < progress.total else SOME_FAILED if progress.failed else OK


def _life(store: Store, progress: Progress) -> list[str]:
    # Who runs on other machines is seen by what they write alone.
    if store.running:
        return ["running"]
    if progress.done == progress.total or (written := store.written) is None:
        return []
    return [f"last written {max(0, round(time.time() - written))} s ago"]


class Report:
    """A bar on a terminal, lines in a log, JSON for each chunk where that is wanted; what failed, at the end.

    Of several processes each tells of its own share.
    """

    def __init__(self, total: int, as_json: bool, share: Share) -> None:
        self._json, self._total, self._bar, self._told = as_json, total, None, time.monotonic()
        self._own = share._asdict()
        self._who = f"process {share.process} of {share.processes}: " if share.processes > 1 else ""
        self._console = Console(stderr=True, highlight=False)

    def __enter__(self) -> Report:
        if self._console.is_terminal and not self._json:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._bar.add_task("", total=self._total, rate="")
            self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, progress: Progress) -> None:
        """After each chunk."""
        if self._json:
            print(json.dumps({**self._own, **_facts(progress)}), flush=True)
        elif self._bar is not None:
            failed = f", {progress.failed} failed" if progress.failed else ""
            rate = f"{self._who}{progress.here / max(progress.seconds, 1e-9):.0f}/s{failed}"
            self._bar.update(self._bar.task_ids[0], completed=progress.done, total=progress.total, rate=rate)
        elif (now := time.monotonic()) >= self._told + EVERY:
            self._told = now
            self.say(f"{self._who}{_line(progress)}")

    def say(self, text: str, style: str = "") -> None:
        """One line on the error stream."""
        self._console.print(Text(text, style), soft_wrap=True)

    def summary(self, store: Store, progress: Progress, patience: float) -> None:
        """At the end of a run."""
        whole = store.progress()
        others = (whole.total - whole.done) - (progress.total - progress.done)
        if self._json:
            ending = {"stopped": progress.stopped, "lost": progress.lost, "others_waiting": others}
            print(json.dumps({**self._own, **_facts(progress), **ending}), flush=True)
        else:
            self.say(f"{self._who}{_line(progress)}")
        if progress.lost:
            who = "process " + ", ".join(map(str, progress.lost))
            self.say(f"{who}: no sign of life for {patience:g} seconds, and examples left to do", "bold red")
        if progress.done < progress.total:
            self.say("stopped before the end; the same command continues", "bold")
        if others:
            self.say(f"examples of other processes that still wait: {others}", "bold")
        _list(self._console, store)


def _facts(progress: Progress) -> dict[str, Any]:
    rate = progress.here / progress.seconds if progress.here and progress.seconds else None
    return {
        "total": progress.total,
        "done": progress.done,
        "failed": progress.failed,
        "outcomes": {outcome.name.lower(): count for outcome, count in progress.outcomes.items()},
        "per_second": rate and round(rate, 2),
        "seconds_left": rate and round((progress.total - progress.done) / rate, 1),
    }


def _line(progress: Progress) -> str:
    failed = f", {progress.failed} of them could not be explained" if progress.failed else ""
    rate = f", {progress.here / progress.seconds:.1f}/s" if progress.here and progress.seconds else ""
    return f"{progress.done} of {progress.total} done{failed}{rate}"


def _list(console: Console, store: Store) -> None:
    for count, failure in enumerate(store.failures()):
        if count == SHOWN:
            console.print(Text("  ..."))
            break
        console.print(Text(f"  {failure.name}: {failure.detail}"), soft_wrap=True)
