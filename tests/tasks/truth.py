"""What is true about scenes of two objects, one left of the other: captions, questions, boxes, texts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from camjax import testbed
from tests.tasks.networks import ANSWERS, ASKED, CELL, GRID, SHAPES, WORDS

COLOUR = len(SHAPES)  # where the colours begin among words and answers


class Truth(NamedTuple):
    """Scenes of two objects, the left one first.

    Attributes:
        images: 8-bit pictures.
        masks: `[n, 2, 64, 64]`.
        classes, colours: `[n, 2]`.
        captions: `[n, 5]` words.
        questions: `[n, q, 3]` words; answers: `[n, q]`; asked: `[n, q]`, the object they are about, -1 for none.
        cells: `[n, 16, 16]` the class of each cell, the background is the last.
        boxes: `[n, 2, 4]` left, top, right, bottom in pixels.
    """

    images: np.ndarray
    masks: np.ndarray
    classes: np.ndarray
    colours: np.ndarray
    captions: np.ndarray
    questions: np.ndarray
    answers: np.ndarray
    asked: np.ndarray
    cells: np.ndarray
    boxes: np.ndarray


def truth(seed: int, n: int) -> Truth:
    """Of the first `n` scenes of a seed, those whose objects are clearly left and right of each other."""
    drawn = testbed.scenes(seed, n, objects=(2, 2))
    column = drawn.centres[:, :2, 1]
    kept = np.flatnonzero(np.abs(column[:, 0] - column[:, 1]) > 8)
    order = np.argsort(column[kept], 1)
    rows = kept[:, None]
    masks = drawn.masks[rows, order]
    classes, colours = drawn.classes[rows, order], drawn.colours[rows, order]
    left_of = np.full(len(kept), WORDS.index("left-of"))
    captions = np.stack([COLOUR + colours[:, 0], classes[:, 0], left_of, COLOUR + colours[:, 1], classes[:, 1]], 1)
    parts = [
        _questions(classes, colours, other) for other in np.random.default_rng(seed).integers(1, 7, (1, len(kept)))
    ]
    return Truth(
        drawn.images[kept], masks, classes, colours, captions, *parts[0], _cells(masks, classes), _boxes(masks)
    )


def _questions(classes, colours, step):
    word = {name: np.full(len(classes), number) for number, name in enumerate(ASKED)}
    shape = word["disc"][0]  # where the shapes begin
    absent = (classes[:, 0] + step) % 8
    absent = np.where(absent == classes[:, 1], (absent + 1) % 8, absent)
    absent = np.where(absent == classes[:, 0], (absent + 1) % 8, absent)
    yes, no = (np.full(len(classes), ANSWERS.index(name)) for name in ("yes", "no"))
    rows = []
    for k, side in enumerate(("left", "right")):
        rows.append((word["what"], word["shape"], word[side], classes[:, k], k))
        rows.append((word["what"], word["colour"], word[side], COLOUR + colours[:, k], k))
        rows.append((word["what"], word["colour"], shape + classes[:, k], COLOUR + colours[:, k], k))
        rows.append((word["is"], word["there"], shape + classes[:, k], yes, k))
    rows.append((word["is"], word["there"], shape + absent, no, -1))
    rows.append(
        (word["is"], word["there"], shape + (absent + 3) % 8, *_whether(classes, (absent + 3) % 8, yes, no), -1)
    )
    questions = np.stack([np.stack(row[:3], 1) for row in rows], 1)
    answers = np.stack([row[3] for row in rows], 1)
    return questions, answers, np.array([row[4] for row in rows])


def _whether(classes, shape, yes, no):
    return (np.where((classes == shape[:, None]).any(1), yes, no),)


def _cells(masks, classes):
    share = masks.reshape(len(masks), 2, GRID, CELL, GRID, CELL).mean((3, 5))
    best = np.take_along_axis(classes, share.argmax(1).reshape(len(masks), -1), 1).reshape(len(masks), GRID, GRID)
    return np.where(share.max(1) > 0.4, best, len(SHAPES))


def _boxes(masks):
    def ends(line):
        return line.argmax(-1), line.shape[-1] - line[..., ::-1].argmax(-1)

    (left, right), (top, bottom) = ends(masks.any(-2)), ends(masks.any(-1))
    return np.stack([left, top, right, bottom], -1).astype(np.float32)


def text_of(truth: Truth, k: int) -> np.ndarray:
    """The text (colour, shape) of object `k`, `[n, 2]`."""
    return np.stack([truth.colours[:, k], truth.classes[:, k]], 1)
