"""`camjax explain`: read pictures, explain them batch by batch, write panels, report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from camjax import images, plot
from camjax.cli import _inputs, _report
from camjax.cli._errors import OK, SOME_FAILED
from camjax.cli._inputs import Source
from camjax.cli._question import Question

if TYPE_CHECKING:
    from camjax.cli._engine import Answer, Engine

TILE = 320  # pixels of the longer side of each picture on a panel


@dataclasses.dataclass(frozen=True)
class Output:
    """Where results go, and how they look."""

    out: Path
    arrays: bool
    batch: int
    colormap: str
    alpha: float

    def check(self) -> None:
        """Refuse a wrong colormap or alpha before anything is computed, in the words of `plot.overlay`."""
        one = np.zeros((1, 1, 3), np.uint8)
        plot.overlay(one, np.zeros((1, 1)), alpha=self.alpha, colormap=self.colormap)


class Picture(NamedTuple):
    """A picture and its number: as the model gets it, as it saw it, and as the panel shows it."""

    number: int
    source: Source
    x: np.ndarray
    seen: np.ndarray
    shown: np.ndarray


def run(paths: Sequence[Path], question: Question, output: Output) -> int:
    """Explain the pictures; returns the exit status.

    Raises:
        UsageError, ValueError, ImportError: when nothing can be explained at all.
    """
    if paths:
        inputs = _inputs.collect(paths, output.out)
    else:
        inputs = _inputs.Inputs([Source(Path("picture"), "picture")], [], 0)
    _inputs.prepare(output.out)
    output.check()
    from camjax.cli._engine import Engine  # and with it jax, once nothing else can be wrong

    engine = Engine(question, len(inputs.sources))
    report = _report.Report(engine, len(inputs.sources))
    for path, reason in inputs.failures:
        report.failed(path, reason)
    batch = min(output.batch, len(inputs.sources))
    with report:
        waiting: list[Picture] = []
        for number, source in enumerate(inputs.sources, 1):
            try:
                waiting.append(_picture(number, source, engine, embedded=not paths))
            except ValueError as error:  # ImageError, and pictures that the crop does not fit
                report.failed(str(source.path), str(error).removeprefix(f"{source.path}: "))
            if waiting and (len(waiting) == batch or number == len(inputs.sources)):
                answers = engine([p.x for p in waiting], batch, [p.number for p in waiting])
                for picture, answer in zip(waiting, answers, strict=True):
                    _finish(picture, answer, engine, output, report)
                waiting = []
    report.summary(output.out, inputs.skipped)
    return SOME_FAILED if report.failures else OK


def _picture(number: int, source: Source, engine: Engine, embedded: bool) -> Picture:
    if embedded:
        from camjax import testbed

        image = testbed.picture()
    else:
        image = images.load(source.path)
    x, seen = images.preprocess(image, engine.preprocess)
    scale = TILE / max(seen.shape[:2])
    height, width = (max(1, round(side * scale)) for side in seen.shape[:2])
    return Picture(number, source, x, seen, images.crop(image, engine.preprocess, (height, width), "lanczos"))


def _finish(picture: Picture, answer: Answer | str, engine: Engine, output: Output, report: _report.Report) -> None:
    source = picture.source
    if isinstance(answer, str):
        report.failed(str(source.path), answer)
        return
    panel = output.out / f"{source.stem}{_inputs.PANEL}"
    try:
        plot.panel(
            picture.shown,
            answer.heatmap,
            answer.names,
            _report.captions(answer, engine.probability),
            title=source.path.name,
            caption=f"{engine.title} at {engine.layer}",
            tile=TILE,
            alpha=output.alpha,
            colormap=output.colormap,
        ).save(panel)
        if output.arrays:
            _save(output.out / f"{source.stem}.npz", picture, answer, engine)
    except OSError as error:
        report.failed(str(source.path), f"its results cannot be written: {error}")
        return
    report.explained(source.path.name, answer, panel.name)


def _save(path: Path, picture: Picture, answer: Answer, engine: Engine) -> None:
    arrays = {
        "picture": picture.seen,
        "heatmap": answer.heatmap,
        "raw": answer.raw,
        "score": answer.scores,
        "target": answer.classes,
        "name": np.array(answer.names),
        "predicted": np.array(answer.predicted),
        "source": np.array(str(picture.source.path)),
        "layer": np.array(engine.layer),
        "method": np.array(engine.title),
    }
    optional = {"weights": answer.weights, engine.probability: answer.probabilities}
    arrays |= {name: value for name, value in optional.items() if value is not None}
    np.savez(path, allow_pickle=False, **arrays)
