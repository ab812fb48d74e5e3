"""What is printed: the progress, a table of the predictions, and what failed and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from camjax.cli import _prepare

if TYPE_CHECKING:
    from camjax.cli._engine import Answer, Engine


class Report:
    """Collects results while pictures are explained, shows a bar meanwhile, and prints them at the end.

    The table goes to the output, everything else to the error stream, so that the table can be piped.
    """

    def __init__(self, engine: Engine, count: int) -> None:
        self._engine, self._count, self._bar = engine, count, None
        self._output, self._errors = Console(highlight=False), Console(stderr=True, highlight=False)
        if not self._output.is_terminal:
            self._output.width = 240  # what is piped is read by a program or in a pager: no folding at 80
        self.failures: list[tuple[str, str]] = []
        self._table = Table(box=None, pad_edge=False, header_style="bold")
        self._table.add_column("picture", overflow="fold")
        self._table.add_column("class", overflow="fold")
        self._table.add_column("score", justify="right", no_wrap=True)
        self._table.add_column(engine.probability, justify="right", no_wrap=True)
        self._table.add_column("predicted", overflow="fold")
        self._table.add_column("panel", overflow="fold")

    def __enter__(self) -> Report:
        self._say(f"method    {self._engine.title} at layer {self._engine.layer}, {self._engine.classes} classes")
        assumed = "; as for ImageNet, unless options say otherwise, since the model does not tell"
        self._say(f"input     {_prepare.describe(self._engine.preprocess)}{assumed * self._engine.assumed}")
        if self._engine.note:
            self._say(f"note      {self._engine.note}")
        if self._count > 1 and self._errors.is_terminal:
            from rich.progress import Progress

            self._bar = Progress(console=self._errors, transient=True)
            self._bar.add_task("explaining", total=self._count)
            self._bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def explained(self, picture: str, answer: Answer, panel: str) -> None:
        """Add the rows of one picture."""
        for k, name in enumerate(answer.names):
            probability = "" if answer.probabilities is None else f"{answer.probabilities[k]:.3f}"
            first = (picture, answer.predicted_name, panel) if k == 0 else ("", "", "")
            label = name + (" (no evidence)" if answer.empty[k] else "")
            cells = (first[0], label, f"{answer.scores[k]:.3f}", probability, *first[1:])
            self._table.add_row(*(Text(cell) for cell in cells))  # names may hold rich's markup
        self._advance()

    def failed(self, path: str, reason: str) -> None:
        """Remember why a picture was not explained."""
        self.failures.append((path, reason))
        self._advance()

    def summary(self, out: Path, skipped: int) -> None:
        """Print the table and what failed."""
        if self._table.row_count:
            self._output.print(self._table)
            self._say(f"panels in {out}")
        if skipped:
            self._say(f"{skipped} file{'s' * (skipped > 1)} in folders skipped: no picture by the suffix")
        if self.failures:
            self._say(f"{len(self.failures)} not explained:", "bold red")
            for path, reason in self.failures:
                self._say(f"  {path}: {reason}")

    def _say(self, text: str, style: str = "") -> None:
        self._errors.print(Text(text, style), soft_wrap=True)

    def _advance(self) -> None:
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])


def captions(answer: Answer, probability: str) -> list[str]:
    """What stands below each class's name on a panel."""
    texts = []
    for k, score in enumerate(answer.scores):
        parts = [f"score {score:.3g}"]
        if answer.probabilities is not None:
            parts.append(f"{probability} {answer.probabilities[k]:.2g}")
        if answer.empty[k]:
            parts.append("no evidence")
        texts.append(", ".join(parts))
    return texts
