"""Whole data sets: every example explained into a Zarr store, resumable at any moment. Needs the extra `dataset`.

`run` writes a store. It is one Zarr v3 group that plain `zarr` and `xarray` read; along the examples, in the source's
order:

    maps [N, K, *space]         the coarse maps (`Explanation.raw`); with `scale` [N, K], where they are half precision:
                                raw = maps scale
    heatmap [N, K, *input]      uint8, 255 for 1; with `heatmaps=True`
    weights [N, K, C]           of the channels; with `weights=True`
    score, target, status       [N, K], as in `Explanation`
    prediction, label [N]       the class with the highest score, and the source's; -1 where there is none
    name [N, bytes], size [N]   UTF-8, padded with zeros; the file's size in bytes
    outcome [N]                 `Outcome`: 0 waiting, 1 explained, others say why not
    detail [N, bytes]           the reason in words, UTF-8, padded with zeros

The group's attribute `camjax` describes the run, with the format's number. Arrays are cut into chunks of the same
examples; a chunk's `outcome` is written when all its other arrays are on the disk.
"""

from camjax.dataset._open import Failure as Failure
from camjax.dataset._open import Store as Store
from camjax.dataset._open import open as open
from camjax.dataset._outcome import Outcome as Outcome
from camjax.dataset._processes import Share as Share
from camjax.dataset._processes import join as join
from camjax.dataset._run import run as run
from camjax.dataset._sharding import Sharding as Sharding
from camjax.dataset._source import Record as Record
from camjax.dataset._source import RecordError as RecordError
from camjax.dataset._source import Source as Source
from camjax.dataset._source import SourceError as SourceError
from camjax.dataset._sources import source_of as source_of
from camjax.dataset._statistics import ClassStatistics as ClassStatistics
from camjax.dataset._statistics import statistics as statistics
from camjax.dataset._work import Progress as Progress
from camjax.dataset._work import StrictError as StrictError
from camjax.dataset._writer import WriteError as WriteError
