"""From a SOURCE, as it is typed or passed, to a `Source`."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from camjax._factory import made
from camjax.dataset._arrays import Arrays, Factory
from camjax.dataset._files import Folder, Listed
from camjax.dataset._source import Source, SourceError
from camjax.dataset._tar import Tar
from camjax.dataset._tfrecord import ArrayRecord, TFRecord

KINDS = (
    "a folder of pictures, a list (.csv, .jsonl), arrays (.npy, .npz), shards (.tar, .tfrecord, .array_record; also a "
    "quoted pattern such as 'train-*.tar', or a folder of them), or python:MODULE:FUNCTION"
)
_SHARDS: dict[str, Callable[[Sequence[Path]], Source]] = {
    ".tar": Tar,
    ".tfrecord": TFRecord,
    ".tfrecords": TFRecord,
    ".array_record": ArrayRecord,
    ".arrayrecord": ArrayRecord,
}
_FILES: dict[str, Callable[[Path], Source]] = {
    ".csv": Listed,
    ".jsonl": Listed,
    ".ndjson": Listed,
    ".npy": Arrays,
    ".npz": Arrays,
}


def source_of(spec: Any) -> Source:
    """The source that `spec` stands for: a `Source`, a path, a pattern, arrays, or any object with records.

    >>> source_of(np.zeros((2, 4, 4, 3), np.uint8)).kind
    'arrays'

    Raises:
        SourceError: there is none, in words.
    """
    if isinstance(spec, Source):
        return spec
    if isinstance(spec, np.ndarray):
        return Arrays(spec)
    if not isinstance(spec, str | Path):
        return Factory(spec)
    text = str(spec)
    if text.startswith("python:"):
        return Factory(_made(text.removeprefix("python:")))
    path = Path(text)
    if path.is_dir():
        found = sorted(child for child in path.iterdir() if _shard(child) and child.is_file())
        return _of_shards(found, text) if found else Folder(path)
    paths = [path] if path.exists() else [Path(match) for match in sorted(glob.glob(text))]
    if not paths:
        raise SourceError(f"source: {text}: no such file or folder; expected {KINDS}.")
    if len(paths) == 1 and (make := _FILES.get(paths[0].suffix.lower())):
        return make(paths[0])
    return _of_shards(paths, text)


def _shard(path: Path) -> str:
    # The suffix of shards; TFRecord's is often in the middle: train.tfrecord-00000-of-00128.
    return next((s.split("-")[0].lower() for s in path.suffixes[::-1] if s.split("-")[0].lower() in _SHARDS), "")


def _of_shards(paths: Sequence[Path], text: str) -> Source:
    kinds = {_SHARDS.get(_shard(path)) for path in paths}
    if len(kinds) != 1 or (make := kinds.pop()) is None:
        raise SourceError(f"source: {text}: is none of camjax's kinds, or of several; expected {KINDS}.")
    return make(paths)


def _made(name: str) -> Any:
    return made(f"source python:{name}", name, "a data source", SourceError)
