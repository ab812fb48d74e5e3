"""`camjax show`: panels of single examples of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer

import camjax
from camjax import dataset, images, plot
from camjax.cli import _inputs
from camjax.cli._errors import OK, SOME_FAILED, UsageError
from camjax.cli._explain import TILE


def show(path: Path, names: Sequence[str], out: Path, source: str | None) -> int:
    """Draw the panels; returns the exit status.

    Raises:
        UsageError, ValueError: there is no such store, or its pictures cannot be found.
    """
    store = dataset.open(path)
    about = store.description["about"]
    if store.description["preprocess"] is None:
        raise UsageError(f"{path}: its source holds inputs of the model, not pictures, so there is nothing to draw on.")
    if source is None and about["source"] is None:
        raise UsageError(f"{path}: does not say where its pictures are; give --source.")
    pictures = dataset.source_of(source or about["source"])
    if pictures.described() != store.description["source"]:
        raise UsageError(f"--source: {source or about['source']} is not what {path} was made from.")
    spec = camjax.Preprocess.from_dict(store.description["preprocess"])
    _inputs.prepare(out)
    failed = False
    for name in names:
        try:
            index = store.find(name)
        except KeyError as error:
            typer.echo(error.args[0], err=True)
            failed = True
            continue
        outcome, detail = store.outcome(index)
        if outcome is not dataset.Outcome.EXPLAINED:
            typer.echo(f"{name}: {detail or outcome.words}", err=True)
            failed = True
            continue
        panel = out / f"{name.replace('/', '-')}{_inputs.PANEL}"
        try:
            _panel(store, index, pictures, spec).save(panel)
        except (dataset.RecordError, images.ImageError) as error:
            typer.echo(f"{name}: {error}", err=True)
            failed = True
            continue
        typer.echo(panel)
    return SOME_FAILED if failed else OK


def _panel(store: dataset.Store, index: int, pictures: dataset.Source, spec: camjax.Preprocess) -> Any:
    image = pictures[index].image
    if isinstance(image, bytes):
        with images.quiet():
            image = images.decode(image, "")
    scale = TILE / max(spec.size)
    shown = images.crop(image, spec, (round(spec.size[0] * scale), round(spec.size[1] * scale)), "lanczos")
    found = store[index]
    heatmaps = found.heatmap
    if heatmaps is None:
        heatmaps = camjax.heatmap(found._replace(raw=np.asarray(found.raw)), spec.size)
    labels = store.labels
    classes = np.asarray(found.target).tolist()
    titles = [labels[c] if labels is not None and 0 <= c < len(labels) else f"class {c}" for c in classes]
    captions = [f"score {score:.3g}" for score in np.asarray(found.score)]
    asked = store.description["question"]
    return plot.panel(
        shown,
        np.asarray(heatmaps),
        titles,
        captions,
        title=store.name(index).rpartition("/")[2],
        caption=f"{asked['method'].removesuffix('()')} at {', '.join(asked['layer'])}",
        tile=TILE,
    )
