"""From a source to batches of a model's inputs: examples are read and decoded in threads or processes, in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from camjax import images
from camjax.dataset._outcome import OF_IMAGE_ERROR, Outcome
from camjax.dataset._source import RecordError, Source

if TYPE_CHECKING:
    from jaxtyping import Int, UInt8

    from camjax import Preprocess


class Batch(NamedTuple):
    """`b` examples from `start` on. Those after the last, and those that could not be read, are zeros.

    Attributes:
        start: the first one's index.
        x: what the model sees of pictures, uint8, `[b, h, w, c]`; or the inputs, `[b, ...]`, where a source holds such.
        label: their classes; -1 where they are not known.
        outcome: `EXPLAINED` where there is something to explain, else why not.
        detail: the same in words; empty where all is well.
    """

    start: int
    x: np.ndarray
    label: Int[np.ndarray, " b"]
    outcome: UInt8[np.ndarray, " b"]
    detail: list[str]


@dataclasses.dataclass(frozen=True)
class Batches:
    """Batches by their number, for Grain: each is read as a whole, by one thread.

    Attributes:
        source: the examples.
        starts: the first example of each batch.
        size: how many examples a batch has.
        like: one row of `x`, its shape and dtype.
        preprocess: how pictures become inputs; None where the source holds inputs.
        classes: the index of each class's name.
        labelled: whether an example without a label, or with one that is no class, cannot be explained.
    """

    source: Source
    starts: Sequence[int]
    size: int
    like: jax.ShapeDtypeStruct
    preprocess: Preprocess | None
    classes: Mapping[str, int]
    labelled: bool

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> Batch:
        start = self.starts[index]
        x = np.zeros((self.size, *self.like.shape), self.like.dtype)
        label = np.full(self.size, -1, np.int32)
        outcome = np.full(self.size, Outcome.EXPLAINED, np.uint8)
        detail = [""] * self.size
        for row in range(min(self.size, len(self.source) - start)):
            try:
                x[row], label[row] = self._read(start + row)
            except RecordError as error:
                outcome[row], detail[row] = error.outcome, str(error)
        return Batch(start, x, label, outcome, detail)

    def _read(self, index: int) -> tuple[np.ndarray, int]:
        try:
            image, label = self.source[index]
            label = self._class(label)
            picture = isinstance(image, bytes) or image.dtype == np.uint8
            x = images.view(image, self.preprocess, "") if picture and self.preprocess else np.asarray(image)
        except images.ImageError as error:
            raise RecordError(OF_IMAGE_ERROR[error.kind], str(error).removeprefix(": ")) from error
        except ValueError as error:  # pixels that do not fit the preprocessing
            raise RecordError(Outcome.SHAPE, str(error)) from error
        except MemoryError as error:
            raise RecordError(Outcome.TOO_LARGE, "there is not enough memory to decode it.") from error
        except OSError as error:
            raise RecordError(Outcome.UNREADABLE, f"cannot be read ({error.strerror or error}).") from error
        if picture is (self.preprocess is None):
            kinds = ("a picture", "a model's input")
            text = f"is {kinds[not picture]}, the first record is {kinds[picture]}."
            raise RecordError(Outcome.RECORD, text)
        if x.shape != self.like.shape:
            text = f"has the shape {list(x.shape)}, the model's input has {list(self.like.shape)}."
            raise RecordError(Outcome.SHAPE, text)
        return x, label

    def _class(self, label: int | str | None) -> int:
        found = self.classes.get(label, None) if isinstance(label, str) else label
        if found is None:
            if self.labelled:
                text = "has no label." if label is None else f"its label {label!r} is no class of the model."
                raise RecordError(Outcome.LABEL, text)
            return -1
        if not -(2**31) <= found < 2**31:
            raise RecordError(Outcome.LABEL, f"its label {found} is no class's number.")
        return found


@contextmanager
def feed(batches: Batches, threads: int, workers: int) -> Iterator[Iterator[Batch]]:
    """The batches in their order, some of them ahead of time.

    At most `threads + 2` batches wait in memory, with processes as many in each.

    Args:
        batches: what is read.
        threads: how many threads read, in each process.
        workers: how many processes read; 0: the threads are this process's own.
    """
    import grain

    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads + 2)
    found: Any = grain.MapDataset.source(batches).to_iter_dataset(options)
    if workers:
        from absl import flags

        if not flags.FLAGS.is_parsed():  # Grain asks for flags of its own, which nobody parses in a library
            flags.FLAGS.mark_as_parsed()
        found = found.mp_prefetch(grain.MultiprocessingOptions(num_workers=workers), worker_init_fn=_silence)
    with images.quiet():
        iterator = iter(found)
        try:
            yield iterator
        finally:
            iterator.close()


def _silence(_: int, __: int) -> None:
    # In a worker process, for its whole life: as `images.quiet` in this one.
    import warnings

    warnings.simplefilter("ignore")
