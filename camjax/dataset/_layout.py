"""What a store is: one Zarr v3 group of arrays along the examples, and the run's description as its attributes.

Each array is cut along its first axis into chunks of the same number of examples, each of them one file. `outcome` is
written last: an example whose outcome is 0 is still waiting, whatever else is there.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from camjax._explanation import Status
from camjax.dataset._outcome import Outcome

FORMAT = 1
ATTRIBUTE = "camjax"
COMMIT = "outcome"
LISTED = ("name", "size")  # written when the store is made, the others chunk by chunk
DETAIL = 240  # bytes of a reason in words


@dataclasses.dataclass(frozen=True)
class Array:
    """One array of a store: its shape after the axis of examples, and how it is read."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    fill: Any
    axes: tuple[str, ...] = ()
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def metadata(self, count: int, chunk: int) -> dict[str, Any]:
        """The array's `zarr.json`, for so many examples, `chunk` of them in a file."""
        bytes_of = {"float32": 4, "float16": 2, "int32": 4, "int64": 8, "uint8": 1}[self.dtype]
        blosc = {"cname": "zstd", "clevel": 5, "shuffle": "shuffle" if bytes_of > 1 else "noshuffle", "blocksize": 0}
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [count, *self.shape],
            "data_type": self.dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [chunk, *self.shape]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": self.fill,
            "codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}} if bytes_of > 1 else {"name": "bytes"},
                {"name": "blosc", "configuration": {**blosc, "typesize": bytes_of}},
                {"name": "crc32c"},  # a chunk that the disk has damaged is an error, never other numbers
            ],
            "dimension_names": ["example", *self.axes],
            "attributes": self.attributes,
        }


def arrays(
    targets: int,
    grid: tuple[int, ...],
    *,
    maps: str = "float32",
    heatmap: tuple[int, ...] | None = None,
    channels: int | None = None,
    labelled: bool = False,
    name: int = 0,
    sized: bool = False,
) -> list[Array]:
    """The arrays of a store with K targets and maps of the shape `grid`.

    Args:
        targets: K.
        grid: the shape of a coarse map.
        maps: their dtype; with `"float16"` each is divided by a power of two, which is kept in `scale`.
        heatmap: the shape of the heatmaps, where they are kept.
        channels: C, where the channels' weights are kept.
        labelled: whether the source has labels.
        name: the longest name's length in bytes; 0 where examples have none.
        sized: whether the source knows the sizes of its files.
    """
    space = ("y", "x") if len(grid) == 2 else tuple(f"space{axis}" for axis in range(len(grid)))
    full = tuple(f"{axis}_input" for axis in space)
    outcome = {"flag_values": [int(o) for o in Outcome], "flag_meanings": " ".join(o.name.lower() for o in Outcome)}
    status = {"flag_masks": [int(s) for s in Status], "flag_meanings": " ".join(str(s.name).lower() for s in Status)}
    text = {"encoding": "utf-8, padded with zeros"}
    found = [
        Array("maps", (targets, *grid), maps, "NaN", ("k", *space)),
        Array("score", (targets,), "float32", "NaN", ("k",)),
        Array("target", (targets,), "int32", -1, ("k",)),
        Array("prediction", (), "int32", -1),
        Array("status", (targets,), "int32", 0, ("k",), status),
        Array("detail", (DETAIL,), "uint8", 0, ("byte",), text),
        Array(COMMIT, (), "uint8", 0, (), outcome),
    ]
    if maps == "float16":
        found.append(Array("scale", (targets,), "float32", "NaN", ("k",)))
    if heatmap is not None:
        found.append(Array("heatmap", (targets, *heatmap), "uint8", 0, ("k", *full), {"scale_factor": 1 / 255}))
    if channels is not None:
        found.append(Array("weights", (targets, channels), "float32", "NaN", ("k", "channel")))
    if labelled:
        found.append(Array("label", (), "int32", -1))
    if name:
        found.append(Array("name", (name,), "uint8", 0, ("character",), text))
    if sized:
        found.append(Array("size", (), "int64", -1, (), {"units": "byte"}))
    return found


def create(
    path: Path,
    found: list[Array],
    count: int,
    chunk: int,
    description: dict[str, Any],
    finish: Callable[[Path], None],
) -> None:
    """Makes a store in which everything is waiting, all of it or nothing; `finish` may write into it beforehand.

    Raises:
        OSError: it cannot be written, or something is there.
    """
    making = path.with_name(f".{path.name}.making")
    if making.exists():  # by a process that was killed; nobody else makes this store now, or both are the same
        shutil.rmtree(making)
    making.mkdir(parents=True)
    for array in found:
        (making / array.name).mkdir()
        _write(making / array.name / "zarr.json", array.metadata(count, chunk))
    group = {"zarr_format": 3, "node_type": "group", "attributes": {ATTRIBUTE: {"format": FORMAT, **description}}}
    _write(making / "zarr.json", group)
    finish(making)
    making.rename(path)


def description(path: Path) -> dict[str, Any]:
    """The description of the run that a store is of.

    Raises:
        ValueError: there is no store of camjax's there, or one of another format.
    """
    try:
        found = json.loads((path / "zarr.json").read_text())["attributes"][ATTRIBUTE]
    except (OSError, KeyError, TypeError, ValueError) as error:
        what = "is no store of camjax run; give another place." if path.exists() else "there is no store."
        raise ValueError(f"{path}: {what}") from error
    if found["format"] != FORMAT:
        raise ValueError(f"{path}: has format {found['format']}, this camjax reads format {FORMAT}.")
    return found


def _write(path: Path, content: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
