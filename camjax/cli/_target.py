"""What is explained: the `--target` option, and what the report wants to know beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from camjax import _validate, targets
from camjax.cli._errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int

    from camjax import Model

TOTAL = -(2**31)  # stands for no class, but for the log of the sum of all classes' exponentials


def parse(texts: Sequence[str], model: Model, classes: int) -> targets.Target:
    """The target that the options name: class numbers, class names, or `top:K`.

    A whole number is always a class's number; anything else that is not `top:K` is a name.

    Raises:
        UsageError: for a number out of range, or `top:K` beside others.
        ValueError: from the core, for a name that no class has.
    """
    tops = [text for text in texts if text.lower().startswith("top:")]
    if tops:
        if len(texts) > 1:
            raise UsageError(f"--target: {tops[0]!r} stands by itself, got {', '.join(texts)}.")
        count = tops[0][4:]
        if not count.isascii() or not count.isdigit() or not 1 <= int(count) <= classes:
            raise UsageError(f"--target: got {tops[0]!r}, expected top:K with K from 1 to {classes}.")
        return targets.top(int(count))
    return targets.Logit(np.array([[_index(text, model, classes) for text in texts]], np.int32))


def _index(text: str, model: Model, classes: int) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        return _validate.class_of(text, model.labels)
    if not 0 <= int(text) < classes:
        raise UsageError(f"--target: class {text} does not exist; the model has classes 0 to {classes - 1}.")
    return int(text)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Reported(targets.Target):
    """The classes asked for, and after them the predicted class and the log of the sum of exponentials.

    So the report has every softmax probability and the prediction without a second forward pass: the
    last two are just more targets, whose maps are not drawn.
    """

    of: Any

    @property
    def count(self) -> int:
        return self.of.count + 2

    def resolve(self, outputs: Any) -> Indexed:
        wanted = cast(targets.Logit, self.of.resolve(outputs)).index
        best = jnp.argmax(targets.logits(outputs)).astype(wanted.dtype)
        return Indexed(jnp.concatenate([wanted, jnp.stack([best, jnp.array(TOTAL, wanted.dtype)])]))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Indexed(targets.Logit):
    """A class's score, or for `TOTAL` the log of the sum of all classes' exponentials."""

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        total = self.index == TOTAL
        scores = targets.logits(outputs)
        one = targets.Logit(jnp.where(total, 0, self.index))(outputs)
        # Without its gradient, which nobody looks at, the program compiles faster.
        return jnp.where(total, jax.nn.logsumexp(jax.lax.stop_gradient(scores)), one)

    def class_index(self) -> Int[Array, ""]:
        return self.index

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        return super().bad(outputs) & (self.index != TOTAL)
