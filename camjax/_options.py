"""The options of `explain` that its program depends on, checked."""

from __future__ import annotations

import dataclasses
from typing import Any

from camjax import _postprocess, _validate
from camjax._needs import evaluates_model
from camjax._portions import entries
from camjax._smoothing import Smoothing
from camjax._split import Split
from camjax.fusion import Fusion
from camjax.methods._contract import Method


@dataclasses.dataclass(frozen=True)
class Options:
    """What of `explain`'s options the compiled program depends on."""

    size: str | tuple[int, ...] | None = "input"
    normalize: str | None = "max"
    upsampling: str = "bilinear"
    chunk: int = 128
    fusion: Fusion | None = None
    smoothing: Smoothing | None = None
    expect_logits: bool = True  # then scores that sum to one are worth a flag
    keep: bool = True  # the K axis
    entries: int | None = None  # of inputs, that run through the model at once

    @classmethod
    def checked(
        cls, method: Method, size: Any, normalize: Any, upsampling: Any, scores: Any, chunk: Any, smoothing: Any
    ) -> Options:
        """From the user's arguments; raises ValueError in words for what they cannot be."""
        _postprocess.check(size, normalize, upsampling)
        _validate.check_choice("scores", scores, ("logits", "outputs"))
        at_once = entries() if chunk is None else None
        if chunk is None:  # a head is a small part of a model
            chunk = 32 if evaluates_model(method) else 128
        if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
            raise ValueError(
                f"chunk: got {chunk!r}, expected a positive int, how many evaluations run at once, or None."
            )
        if smoothing is not None and not isinstance(smoothing, Smoothing):
            raise ValueError(
                f"smoothing: got {smoothing!r}, expected None or a camjax.Smoothing such as Smoothing(flip=True)."
            )
        size = tuple(int(n) for n in size) if isinstance(size, list | tuple) else size
        expect = scores == "logits"
        return cls(size, normalize, upsampling, chunk, smoothing=smoothing, expect_logits=expect, entries=at_once)

    def of(self, splits: tuple[Split, ...], fusion: Fusion | None, keep: bool) -> Options:
        """For splits, which know whether a softmax was taken off, and with or without the K axis."""
        expect = self.expect_logits and splits[0].tail is None
        return dataclasses.replace(self, fusion=fusion, expect_logits=expect, keep=keep)
