"""`camjax run`: a data set into a store."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from camjax._factory import made
from camjax.cli._errors import OK, SOME_FAILED, UNFINISHED, UsageError
from camjax.cli._progress import Report
from camjax.cli._question import Question


@dataclasses.dataclass(frozen=True)
class Work:
    """How a run is done and what it keeps."""

    out: Path
    batch: int
    chunk: int | None
    maps: str
    weights: bool
    dtype: str
    threads: int | None
    workers: int
    devices: int | None
    sharding: str | None
    strict: bool
    json: bool


@dataclasses.dataclass(frozen=True)
class Together:
    """How this process meets the others of its run, and how long it goes on without a sign of them."""

    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None
    patience: float = 300.0

    def join(self) -> None:
        """Meets them, if there are any.

        Raises:
            UsageError: they did not come, or the options do not go together.
        """
        from camjax import dataset

        if self.coordinator is None:
            if self.processes is not None or self.process is not None:
                raise UsageError("--processes, --process: they also need --coordinator, process 0's HOST:PORT.")
            return
        auto = self.coordinator == "auto"
        if not auto and (self.processes is None or self.process is None or self.process >= self.processes):
            raise UsageError(
                f"--coordinator: needs --processes N and --process 0 to N-1, got {self.processes} and {self.process}."
            )
        try:
            dataset.join(None if auto else self.coordinator, self.processes, self.process)
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"--coordinator: the processes did not meet: {error}") from error


def run(source: str, question: Question, work: Work, together: Together) -> int:
    """Explain a data set; returns the exit status.

    Raises:
        UsageError, ValueError, ImportError: when it cannot be done as it was asked.
    """
    if work.maps not in ("coarse", "full"):
        raise UsageError(f"--maps: got {work.maps!r}, expected coarse or full.")
    from camjax import dataset
    from camjax.cli import _models, _prepare
    from camjax.cli._methods import method_name
    from camjax.dataset._extra import need
    from camjax.methods import METHODS

    need()
    together.join()
    sharding = None if work.sharding is None else _sharding(work.sharding)
    opened = dataset.source_of(source)  # before the model is made, which may take long
    method = METHODS[method_name(question.method, "--method")]()
    model = _models.build(question.spec, question.weights, size=_prepare.size(question.prepare))
    preprocess = _prepare.resolve(model, question.spec, question.prepare)
    model, _ = _models.named(model, _classes(model, opened.input_shape or _prepare.shape(preprocess)[1:]))
    several, spec = list(question.layers), question.spec
    report = Report(len(opened), work.json, dataset.Share.own())
    with report:
        try:
            done = dataset.run(
                opened,
                model,
                work.out,
                target=_target(question.targets),
                method=method,
                layer=several if len(several) > 1 else several[0] if several else None,
                fusion=question.fusion,
                scores=question.scores,
                seed=question.seed,
                heatmaps=work.maps == "full",
                weights=work.weights,
                dtype=work.dtype,
                preprocess=preprocess,
                batch=work.batch,
                chunk=work.chunk,
                threads=work.threads,
                workers=work.workers,
                devices=work.devices,
                sharding=sharding,
                strict=work.strict,
                patience=together.patience,
                progress=report.tell,
                about={"source": str(Path(source).absolute()) if Path(source).exists() else source, "model": spec},
            )
        except dataset.StrictError as error:
            report.say(f"stopped at the first that cannot be explained: {error}", "bold red")
            return SOME_FAILED
        except dataset.WriteError as error:
            if not work.out.exists():
                raise UsageError(f"--out: {work.out} cannot be made: {error.strerror}; give another place.") from error
            report.say(f"{work.out} cannot be written: {error.strerror}.", "bold red")
            report.say("What was written is kept; when there is room, the same command continues.")
            return UNFINISHED
    report.summary(dataset.open(work.out), done, together.patience)
    return UNFINISHED if done.done < done.total else SOME_FAILED if done.failed else OK


def _sharding(spec: str) -> Any:
    # What the user's function returns.
    from camjax import dataset

    kind, _, name = spec.partition(":")
    if kind != "python" or not name:
        raise UsageError(f"--sharding: got {spec!r}, expected python:MODULE:FUNCTION.")
    where, wanted = f"--sharding python:{name}", "a camjax.dataset.Sharding"
    found = made(where, name, wanted, UsageError)
    if not isinstance(found, dataset.Sharding):
        raise UsageError(f"{where}: the function returned {type(found).__name__}, expected {wanted}.")
    return found


def _classes(model: Any, shape: tuple[int, ...]) -> int:
    # How many classes the model scores; 0 where its outputs are no class scores.
    import jax
    import numpy as np

    from camjax import targets

    def scores(params: Any, x: Any) -> Any:
        return targets.logits(jax.tree.map(lambda leaf: leaf[0], model.apply(params, x)))

    try:
        return jax.eval_shape(scores, model.params, jax.ShapeDtypeStruct((1, *shape), np.float32)).shape[0]
    except (ValueError, TypeError, IndexError):  # the run itself tells what is wrong, if that is needed
        return 0


def _target(texts: Iterable[str]) -> Any:
    texts = list(texts)
    if not texts:
        return None
    if len(texts) == 1 and texts[0] == "label":
        return "label"
    tops = [text for text in texts if text.lower().startswith("top:")]
    if tops:
        from camjax import targets

        if len(texts) > 1 or not (tops[0][4:].isascii() and tops[0][4:].isdigit() and int(tops[0][4:])):
            raise UsageError(f"--target: got {', '.join(texts)}; top:K stands by itself, with K at least 1.")
        return targets.top(int(tops[0][4:]))
    return [int(text) if text.isascii() and text.removeprefix("-").isdigit() else text for text in texts]
