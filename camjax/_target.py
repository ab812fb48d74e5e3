"""The contract of a target, and the three that all others are made from: a class, the top k, a function."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from camjax import _validate

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int

_Class = TypeVar("_Class", bound=type)


class Target:
    """The contract of a target, for those who write their own.

    A target is a frozen dataclass registered as a pytree (`jax.tree_util.register_dataclass`), whose array leaves
    have the leading axes `[B, K]`, or `[1, K]` where the batch shares them. camjax maps it down to one
    example, lets it `resolve`, maps it down to one k, where its leaves have lost both axes, and calls it.
    Because classes are leaves, another class never means another compilation.
    """

    @property
    def complaint(self) -> str:
        """What `bad` says, in words; empty: that the class is not one of the model's."""
        return ""

    @property
    def softmax(self) -> str:
        """The name of the target that takes a softmax of the outputs, which cannot be probabilities then."""
        return ""

    @property
    def count(self) -> int:
        """K, the number of scores per example; asked while the leaves still have both axes."""
        leaves = jax.tree.leaves(self)
        return leaves[0].shape[1] if leaves else 1

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """The same target with names turned into indices, for a batch; and whether `explain` keeps its K axis."""
        return self, True

    def resolve(self, outputs: Any) -> Target:
        """For one example: the same target with what depends on the outputs put in, leaves `[K]`."""
        return self

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        """For one example and one k: the score."""
        raise NotImplementedError

    def class_index(self) -> Int[Array, ""] | int:
        """For one k: the class that the score is about; the int -1 where it is about none."""
        return -1

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        """For one example and one k: whether the class is not a class of the model."""
        return jnp.bool_(False)


def register_target(data: list[str], static: list[str]) -> Callable[[_Class], _Class]:
    """Makes a frozen dataclass a pytree: `data` are its leaves, `static` is part of its structure."""

    def register(cls: _Class) -> _Class:
        return jax.tree_util.register_dataclass(cls, data_fields=data, meta_fields=static)

    return register


@register_target(["index"], [])
@dataclasses.dataclass(frozen=True)
class Logit(Target):
    """The score of a class, as the model gives it. Made from class indices; `index` has the axes `[B or 1, K]`."""

    index: Any

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        return pick(logits(outputs), self.index)

    def class_index(self) -> Int[Array, ""]:
        """The class."""
        return self.index.astype(jnp.int32)

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        """Whether the class is out of range."""
        return (self.index < 0) | (self.index >= logits(outputs).shape[0])


@register_target([], ["k"])
@dataclasses.dataclass(frozen=True)
class Top(Target):
    """The k highest classes, found in the same pass that explains them."""

    k: int

    @property
    def count(self) -> int:
        """K."""
        return self.k

    def resolve(self, outputs: Any) -> Logit:
        """With the classes that the outputs decide."""
        scores = logits(outputs)
        if self.k > scores.shape[0]:
            raise ValueError(f"targets.top: k = {self.k}, but the model has {scores.shape[0]} classes; ask for fewer.")
        return Logit(jax.lax.top_k(scores, self.k)[1])


@register_target([], ["score"])
@dataclasses.dataclass(frozen=True)
class Custom(Target):
    """A function of one example's outputs (no batch axis) that returns a scalar.

    The function is static: the same object is compiled once, a new lambda in every call is compiled in every call.
    """

    score: Callable[[Any], Any]

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        """With names turned into indices."""
        return self, False

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        score = self.score(outputs)
        shape, dtype = jnp.shape(score), getattr(score, "dtype", None)
        if shape != () or dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(
                "target: the function must return a floating scalar for the outputs of one example, got "
                f"{'shape ' + str(shape) + ' ' + str(dtype) if dtype is not None else type(score).__name__}; the "
                f"outputs it gets have no batch axis: {describe(outputs)}."
            )
        return score


def logits(outputs: Any) -> Float[Array, " classes"]:
    """The class scores among one example's outputs: an entry called `logits`, else the only floating leaf.

    >>> logits({"logits": jnp.zeros(10), "features": jnp.zeros(512)}).shape
    (10,)

    Raises:
        ValueError: when there is none, when it is ambiguous, or when it has space or time axes.
    """
    return jnp.atleast_1d(class_leaf(outputs))


def class_leaf(outputs: Any) -> Any:
    """The leaf itself that `logits` finds, which may be a scalar."""
    leaves = [
        (path, leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(outputs)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    named = [leaf for path, leaf in leaves if path and key_of(path[-1]) == "logits"]
    vectors = [leaf for _, leaf in leaves if leaf.ndim <= 1]
    found = named or vectors
    if len(found) != 1 or found[0].ndim > 1:
        raise ValueError(
            "target: which of the model's outputs are the class scores? One example's outputs are "
            f"{describe(outputs)}, expected one floating vector, or an entry called 'logits' that is one. Pass a "
            "function instead: target=lambda outputs: ..., from one example's outputs to the scalar to explain."
        )
    return found[0]


def as_target(spec: Any, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
    """Anything that `explain` takes for `target=` as a `Target`, and whether the K axis is kept for it.

    >>> as_target("dog", ("cat", "dog"), batch=8)
    (Logit(index=array([[1]], dtype=int32)), False)

    Raises:
        ValueError: for names without labels, unknown names, wrong lengths, and anything that is not a class.
    """
    if spec is None:
        return Top(1), False
    if isinstance(spec, Target):
        return spec.bind(labels, batch)
    if isinstance(spec, str):
        return Logit(np.array([[_validate.class_of(spec, labels)]], np.int32)), False
    if isinstance(spec, list | tuple) and spec and all(isinstance(name, str) for name in spec):
        return Logit(np.array([[_validate.class_of(name, labels) for name in spec]], np.int32)), True
    if callable(spec):
        return Custom(spec), False
    index = _validate.class_indices(spec, batch)
    shape = {0: (1, 1), 1: (-1, 1), 2: index.shape}[index.ndim]
    return Logit(index.reshape(shape)), index.ndim == 2


def check_softmax(target: Target, scores: str) -> None:
    """That no softmax is taken of what the user says are outputs, which may be probabilities already."""
    if scores == "outputs" and target.softmax:
        raise ValueError(
            f"target: {target.softmax} takes the softmax of logits, got scores='outputs', which may be probabilities "
            "already; leave scores= out, so that the logits before a final softmax are taken, or explain the "
            "probability as the model gives it: target= the class."
        )


def pick(scores: Array, index: Array | int) -> Array:
    """One class's score, never clamped: NaN outside the classes, and -1 does not count from the end."""
    return scores.at[index].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def key_of(entry: Any) -> Any:
    """The name in a path's entry: `DictKey.key`, `GetAttrKey.name`, else none."""
    return getattr(entry, "key", getattr(entry, "name", None))


def describe(outputs: Any) -> str:
    """The outputs' arrays, in words."""
    parts = [
        f"{jax.tree_util.keystr(path) or 'outputs'}: {leaf.dtype}{list(leaf.shape)}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(outputs)
    ]
    return ", ".join(parts) or "empty"
