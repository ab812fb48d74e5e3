"""What became of one example of a run."""

from __future__ import annotations

import enum

from camjax._explanation import Status


class Outcome(enum.IntEnum):
    """What became of an example; the values are those of a store's array `outcome`.

    >>> Outcome(3).words
    'the file is missing'
    """

    WAITING = 0
    EXPLAINED = 1
    FAILED = 2
    MISSING = 3
    UNREADABLE = 4
    EMPTY = 5
    UNRECOGNISED = 6
    DAMAGED = 7
    TOO_LARGE = 8
    MODE = 9
    SHAPE = 10
    RECORD = 11
    LABEL = 12
    NON_FINITE = 13
    BAD_TARGET = 14
    ZERO_GRADIENT = 15
    NOT_APPLICABLE = 16

    @property
    def words(self) -> str:
        """What it means, in a few words."""
        return _WORDS[self]


_WORDS = {
    Outcome.WAITING: "not yet explained",
    Outcome.EXPLAINED: "explained",
    Outcome.FAILED: "reading it failed",
    Outcome.MISSING: "the file is missing",
    Outcome.UNREADABLE: "the file cannot be read",
    Outcome.EMPTY: "the file is empty, or the picture has no pixels",
    Outcome.UNRECOGNISED: "not a picture",
    Outcome.DAMAGED: "truncated or damaged",
    Outcome.TOO_LARGE: "too large",
    Outcome.MODE: "pixels that do not say what is white",
    Outcome.SHAPE: "it does not have the input's shape",
    Outcome.RECORD: "the record holds no picture",
    Outcome.LABEL: "its label is no class of the model",
    Outcome.NON_FINITE: "the score or the map is not finite",
    Outcome.BAD_TARGET: "the model has no such class",
    Outcome.ZERO_GRADIENT: "the score does not depend on the layer",
    Outcome.NOT_APPLICABLE: "the method does not apply",
}

# The kinds of `camjax.images.ImageError`.
OF_IMAGE_ERROR = {
    "missing": Outcome.MISSING,
    "unreadable": Outcome.UNREADABLE,
    "empty": Outcome.EMPTY,
    "unrecognised": Outcome.UNRECOGNISED,
    "damaged": Outcome.DAMAGED,
    "too large": Outcome.TOO_LARGE,
    "mode": Outcome.MODE,
}

# What a map's status makes of its example, the first that fits.
OF_STATUS = (
    (Status.BAD_TARGET, Outcome.BAD_TARGET),
    (Status.NON_FINITE, Outcome.NON_FINITE),
    (Status.NOT_APPLICABLE, Outcome.NOT_APPLICABLE),
    (Status.ZERO_GRADIENT, Outcome.ZERO_GRADIENT),
)
