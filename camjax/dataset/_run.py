"""`run`: explain every example of a source into a store, from where the store ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from camjax._cores import cores
from camjax._model import Model, Preprocess
from camjax.dataset import _layout
from camjax.dataset._extra import need
from camjax.dataset._feed import feed
from camjax.dataset._hold import Stop, held
from camjax.dataset._identity import differences, identity
from camjax.dataset._inputs import Inputs
from camjax.dataset._outcome import Outcome
from camjax.dataset._processes import PATIENCE, Share, await_store
from camjax.dataset._program import Program, Question
from camjax.dataset._sharding import Places, Sharding
from camjax.dataset._signs import Signs
from camjax.dataset._source import Source
from camjax.dataset._sources import source_of
from camjax.dataset._target import is_label
from camjax.dataset._work import Progress, Work
from camjax.dataset._writer import Writer, check_writable
from camjax.methods import GradCAM, Method
from camjax.methods._contract import describe

_GRADCAM = GradCAM()


def run(
    source: Any,
    model: Model,
    out: str | Path,
    *,
    target: Any = None,
    method: Method = _GRADCAM,
    layer: Any = None,
    fusion: Any = None,
    scores: str = "logits",
    smoothing: Any = None,
    axes: Any = None,
    seed: int = 0,
    heatmaps: bool = False,
    weights: bool = False,
    dtype: str = "float32",
    preprocess: Preprocess | None = None,
    batch: int = 32,
    chunk: int | None = None,
    threads: int | None = None,
    workers: int = 0,
    devices: int | Sequence[Any] | None = None,
    sharding: Sharding | None = None,
    strict: bool = False,
    patience: float = PATIENCE,
    progress: Callable[[Progress], None] | None = None,
    about: dict[str, Any] | None = None,
) -> Progress:
    """Explains every example of a source, and keeps the maps in a Zarr store, which `camjax.dataset.open` reads.

    Called again, it continues where the store ends: after a process that was killed at any moment, the chunk that was
    not yet written is computed again, and the store comes out with the same bytes. An example that cannot be explained
    is a row with the reason. On SIGTERM the chunk is finished.

    Several processes that have met by `join` do it together, each its own chunks, on its own devices; the results do
    not depend on how many they are.

    Args:
        source: a path or a pattern (a folder, a list, arrays, shards), a `camjax.dataset.Source`, an array, or an
            object with `len()` and indexing, such as a Grain data source.
        model: a `Model`.
        out: the store, a folder that is made.
        target: as for `camjax.explain`, the same for every example; or `"label"`, each example's own.
        method: see there; and so are `layer`, `fusion`, `scores`, `smoothing` and `axes`.
        layer: see there.
        fusion: see there.
        scores: see there.
        smoothing: see there.
        axes: see there.
        seed: of methods that draw random numbers; an example's depend on it and on the example's index.
        heatmaps: whether to keep heatmaps at the input's size, too, in 256 steps.
        weights: whether to keep the channels' weights.
        dtype: of the coarse maps: `"float32"`, or `"float16"`, each divided by a power of two.
        preprocess: how pictures become inputs; by default the model's own.
        batch: how many examples run at once on all devices of this process.
        chunk: how many are written at once, a multiple of `batch`; by default about 512.
        threads: how many threads read and decode; by default as many as there are processors.
        workers: how many processes read and decode, each with so many threads; 0: this one.
        devices: how many of this process's devices are used, or which; by default all.
        sharding: how parameters that do not fit on one device are divided; by default each device has a copy.
        strict: whether to stop at the first example that cannot be explained.
        patience: of several processes, the seconds after which one stops when another, whose examples are not done, has
            given no sign of life: `Progress.lost`. The chunk is finished; infinite: it goes on with its own share.
        progress: is called after each chunk.
        about: what else the store shall say of the run: names and texts, which are not compared.

    Returns:
        The last `Progress`, of this process's own share.

    Raises:
        ValueError: an argument does not fit, as `camjax.explain`; the store is that of another run.
        ImportError: the extra `dataset` is not installed.
        WriteError: an OSError, the store cannot be written. All that was written before is kept.
        StrictError: with `strict`, at the first example that cannot be explained.

    Example:
        >>> import camjax, jax.numpy as jnp, tempfile
        >>> split = camjax.Split(lambda w, x: (x @ w, None), lambda w, A, rest: A.mean((1, 2)))
        >>> model = camjax.Model(lambda w, x: (x @ w).mean((1, 2)), jnp.eye(3), preprocess=Preprocess((8, 8), None))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     done = run(np.zeros((5, 9, 9, 3), np.uint8), model, f"{folder}/run.zarr", layer=split, batch=4)
        >>> done.done, done.failed
        (5, 0)
    """
    need()
    path = Path(out).absolute()
    begun = _begun(path)  # something else is refused before anything is read
    chunk = _checked_chunk(batch, chunk)
    if not patience > 0:
        raise ValueError(f"patience: got {patience}, expected seconds, more than 0.")
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype: got {dtype!r}, expected 'float32' or 'float16'.")
    about = {"source": os.path.abspath(source) if isinstance(source, str | Path) else None, **(about or {})}
    source = source_of(source)
    if begun is not None and source.sizes is not None and source.described() != begun["source"]:
        source = _as_begun(source, path, chunk)
    inputs = Inputs.of(source, model, preprocess, is_label(target))
    question = Question(method, layer, target, fusion, scores, smoothing, axes, seed, heatmaps, weights, dtype)
    places = Places.of(devices, sharding, batch)
    program = Program(model, inputs.example, question, batch, inputs.pictures, places)
    arrays = _arrays(program, source, question)
    share = Share.own()
    _begin(path, share, arrays, source, chunk, identity(inputs, model, question, program, chunk, about))
    with held(path) if share.process == 0 else contextlib.nullcontext(), Stop() as stop:
        writer = Writer(path, [array.name for array in arrays], chunk)
        mine, starts = _waiting(writer.outcomes(), share, chunk, batch)
        refusal = f"{describe(method)}: {getattr(method, 'refusal', '')}"
        work = Work(program, writer, arrays, source, chunk, refusal, strict, mine, progress)
        threads = cores() if threads is None else threads
        with (
            Signs(path, share, patience, chunk, writer.outcomes, stop) as signs,
            feed(inputs.batches(starts, batch, program.row), threads, workers) as found,
        ):
            return work(found, stop)._replace(lost=signs.lost)


def _begun(path: Path) -> dict[str, Any] | None:
    # The description of the run that is to be continued.
    if path.exists():
        return _layout.description(path)
    check_writable(path)
    return None


def _checked_chunk(batch: int, chunk: int | None) -> int:
    chunk = max(batch, 512 // batch * batch) if chunk is None else chunk
    if chunk < 1 or chunk % batch:
        raise ValueError(f"chunk: got {chunk}, expected a multiple of batch = {batch}.")
    return chunk


def _as_begun(source: Source, path: Path, chunk: int) -> Source:
    # The source as it was when the run began, if nothing but files is missing.
    if not all((path / name).is_dir() for name in _layout.LISTED):
        return source
    return source.continued(*Writer(path, _layout.LISTED, chunk).names_and_sizes())


def _arrays(program: Program, source: Source, question: Question) -> list[_layout.Array]:
    shapes = program.shapes
    names = source.names
    size = 0 if names is None else max(len(name.encode(errors="surrogateescape")) for name in names)
    return _layout.arrays(
        shapes["maps"][1],
        shapes["maps"][2:],
        maps=question.dtype,
        heatmap=shapes["heatmap"][2:] if "heatmap" in shapes else None,
        channels=shapes["weights"][2] if "weights" in shapes else None,
        labelled=source.labels is not None or is_label(question.target) or source.kind in ("factory", "tar"),
        name=size,
        sized=source.sizes is not None,
    )


def _begin(
    path: Path,
    share: Share,
    arrays: list[_layout.Array],
    source: Source,
    chunk: int,
    described: dict[str, Any],
) -> None:
    # Makes the store, or sees to it that the one that is there, or that process 0 makes, is that of this run.
    if share.process:
        await_store(path)
    elif not path.exists():
        names = [array.name for array in arrays]
        _layout.create(
            path, arrays, len(source), chunk, described, lambda making: Writer(making, names, chunk).listed(source)
        )
    if different := differences(_layout.description(path), described):
        raise ValueError(
            f"{path}: is the store of another run; {'; '.join(different)}. Give another --out, or what this store "
            "was begun with."
        )


def _waiting(outcomes: np.ndarray, share: Share, chunk: int, batch: int) -> tuple[np.ndarray, list[int]]:
    # The outcomes of this process's chunks, and where the batches begin that are still to be done.
    first = [start for start in range(0, len(outcomes), chunk) if share.has(start // chunk)]
    mine = np.concatenate([outcomes[:0], *(outcomes[start : start + chunk] for start in first)])
    todo = [start for start in first if outcomes[start] == Outcome.WAITING]
    return mine, [at for start in todo for at in range(start, min(start + chunk, len(outcomes)), batch)]
