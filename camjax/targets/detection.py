"""The score of the box that a detector puts where one is given."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp

from camjax._target import Logit, Target, as_target, register_target
from camjax._validate import check_choice
from camjax.targets._arrays import entry, leading, same_count

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float


def iou(a: Float[Array, "... 4"], b: Float[Array, "... 4"]) -> Float[Array, "..."]:
    """Intersection over union of boxes (left, top, right, bottom) of equal rank; 0 where both are empty."""
    low, high = jnp.maximum(a[..., :2], b[..., :2]), jnp.minimum(a[..., 2:], b[..., 2:])
    both = jnp.maximum(high - low, 0).prod(-1)
    areas = [jnp.maximum(box[..., 2:] - box[..., :2], 0).prod(-1) for box in (a, b)]
    union = areas[0] + areas[1] - both
    return both / jnp.where(union > 0, union, 1)


@register_target(["of", "box", "found"], ["threshold", "overlap", "form"])
@dataclasses.dataclass(frozen=True)
class Detection(Target):
    """The score of the model's box that matches `box`, `[B or 1, K, 4]`; `found`, once known, is its number."""

    of: Any
    box: Any
    found: Any
    threshold: float
    overlap: bool
    form: str

    @property
    def complaint(self) -> str:
        """What `bad` says."""
        return (
            f"targets.detection: the model has no box of this class that overlaps the given one by IoU >= "
            f"{self.threshold}; look at the model's boxes, lower iou=, or check form="
        )

    @property
    def count(self) -> int:
        """K."""
        return self.of.count

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With names turned into indices, and both axes."""
        of, keep = as_target(self.of, labels, batch)
        if not isinstance(of, Logit):
            raise ValueError(f"targets.detection: target takes classes (indices or names), got {self.of!r}.")
        box, several = leading("targets.detection: box", self.box, batch, "4", 1)
        if box.shape[-1] != 4:
            raise ValueError(f"targets.detection: box has {box.shape[-1]} numbers, expected 4 ({self.form}).")
        index, box = same_count("targets.detection", cast(Any, of).index, box)
        return dataclasses.replace(self, of=Logit(index), box=box), keep or several

    def resolve(self, outputs: Any) -> Detection:
        """With the number of the box that matches, -1 for none."""
        boxes, labels, scores = self._outputs(outputs)

        def match(index: Any, box: Any) -> Any:
            overlap = iou(boxes, self._corners(box.astype(boxes.dtype))[None])
            # without labels, a box is of the class which it scores highest
            fits = labels == index if labels is not None else jnp.argmax(scores, -1) == index
            overlap = jnp.where(fits, overlap, -1)
            best = jnp.argmax(overlap)
            return jnp.where(overlap[best] >= self.threshold, best, -1)

        return dataclasses.replace(self, found=jax.vmap(match)(jnp.asarray(self.of.index), jnp.asarray(self.box)))

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """The score."""
        boxes, labels, scores = self._outputs(outputs)
        row = scores[self.found]
        score = row if labels is not None else row[self.of.index]
        if self.overlap:
            score = score + iou(boxes[self.found], self._corners(jnp.asarray(self.box).astype(boxes.dtype)))
        return score

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        """Whether no box matches."""
        return self.found < 0

    def _outputs(self, outputs: Any) -> tuple[Any, Any, Any]:
        # Boxes [N, 4] as corners; then labels [N] and scores [N], or None and scores [N, C].
        boxes = entry("targets.detection", outputs, ("boxes", "pred_boxes"), 2)
        labels = entry("targets.detection", outputs, ("labels",), 1, required=False)
        names, rank = (("scores",), 1) if labels is not None else (("logits", "pred_logits"), 2)
        scores = entry("targets.detection", outputs, names, rank)
        assert boxes is not None
        assert scores is not None
        return self._corners(boxes), labels, scores

    def _corners(self, boxes: Any) -> Any:
        if self.form == "corners":
            return boxes
        middle, half = boxes[..., :2], boxes[..., 2:] / 2
        return jnp.concatenate([middle - half, middle + half], -1)


def detection(target: Any, box: Any, *, iou: float = 0.5, overlap: bool = False, form: str = "corners") -> Target:
    """The score of the detector's box of a class that is most like a given box: s_j, or s_j + IoU(b_j, box).

    j is the box with the highest IoU among those of the class. The choice is made once, and is no part of what is
    differentiated. The outputs of one example are boxes `[N, 4]` with scores `[N]` and labels `[N]`, or with logits
    `[N, C]`, of which the highest tells the class (also pred_boxes, pred_logits). What follows a non-maximum
    suppression has no gradient in most frameworks: explain what comes before it.

    Args:
        target: the class, or the K boxes' classes, by index or name.
        box: `[4]`, `[B, 4]` or `[1, 4]`; `[B, K, 4]` or `[1, K, 4]` for K boxes, which share one forward pass.
        iou: how much the model's box must overlap the given one.
        overlap: whether the overlap is explained too, and not the class's score alone.
        form: "corners" (left, top, right, bottom) or "centre" (x, y, width, height), of the model's boxes and of `box`.

    >>> import camjax
    >>> def detect(A):
    ...     boxes = jnp.array([[[0.0, 0.0, 2.0, 2.0], [2.0, 2.0, 4.0, 4.0]]])
    ...     return {"boxes": boxes, "logits": A.mean((1, 2))[:, None] * jnp.array([[[1.0, 0.0], [0.0, 2.0]]])}
    >>> model = camjax.Model(lambda w, x: detect(x), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: detect(A))
    >>> target = detection(1, jnp.array([2.0, 2.0, 4.0, 3.8]))
    >>> camjax.explain(model, jnp.ones((1, 2, 2, 2)), target, layer=split).score
    Array([2.], dtype=float32)

    Raises:
        ValueError: for another `form` or an `iou` that is not between 0 and 1; at `explain`, when no box matches.
    """
    check_choice("targets.detection: form", form, ("corners", "centre"))
    if not 0 < iou <= 1:
        raise ValueError(f"targets.detection: iou = {iou!r}, expected a number above 0 and at most 1.")
    return Detection(target, box, None, float(iou), overlap, form)
