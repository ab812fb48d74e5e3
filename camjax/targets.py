"""What is explained: scalar scores of one example's outputs.

A target is anything `camjax.explain` takes for `target=`: None (the predicted class), a class index, class
names, arrays `[B]`, `[B, K]` or `[1, K]` of class indices, a function `score(outputs_of_one_example) -> scalar`,
or one of the objects that the functions of this module make from them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from camjax import _validate

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int


class Target:
    """The contract of a target, for those who write their own.

    A target is a frozen dataclass registered as a pytree (`jax.tree_util.register_dataclass`), whose array leaves
    have the leading axes `[B, K]`, or `[1, K]` where the batch shares them. camjax maps it down to one
    example, lets it `resolve`, maps it down to one k, where its leaves have lost both axes, and calls it.
    Because classes are leaves, another class never means another compilation.
    """

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


def _register(data: list[str], static: list[str]) -> Callable[[type], type]:
    def register(cls: type) -> type:
        return jax.tree_util.register_dataclass(cls, data_fields=data, meta_fields=static)

    return register


@_register(["index"], [])
@dataclasses.dataclass(frozen=True)
class Logit(Target):
    """The score of a class, as the model gives it. Made from class indices; `index` has the axes `[B or 1, K]`."""

    index: Any

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        return _pick(logits(outputs), self.index)

    def class_index(self) -> Int[Array, ""]:
        return self.index.astype(jnp.int32)

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        return (self.index < 0) | (self.index >= logits(outputs).shape[0])


@_register([], ["k"])
@dataclasses.dataclass(frozen=True)
class Top(Target):
    """The k highest classes, found in the same pass that explains them."""

    k: int

    @property
    def count(self) -> int:
        return self.k

    def resolve(self, outputs: Any) -> Logit:
        scores = logits(outputs)
        if self.k > scores.shape[0]:
            raise ValueError(
                f"targets.top: k = {self.k}, but the model has {scores.shape[0]} classes; ask for fewer."
            )
        return Logit(jax.lax.top_k(scores, self.k)[1])


@_register(["of"], [])
@dataclasses.dataclass(frozen=True)
class _Of(Target):
    """A target made from another: all but the score is the other's."""

    of: Any

    @property
    def count(self) -> int:
        return self.of.count

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        of, keep = as_target(self.of, labels, batch)
        return dataclasses.replace(self, of=of), keep

    def resolve(self, outputs: Any) -> Self:
        return dataclasses.replace(self, of=self.of.resolve(outputs))

    def class_index(self) -> Int[Array, ""] | int:
        return self.of.class_index()

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        return self.of.bad(outputs)


@_register(["of"], [])
@dataclasses.dataclass(frozen=True)
class Negated(_Of):
    """The score with its sign turned."""

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        return -self.of(outputs)


@_register(["of"], [])
@dataclasses.dataclass(frozen=True)
class Probability(_Of):
    """The softmax probability of a class."""

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        bound, keep = super().bind(labels, batch)
        if not isinstance(bound, Probability) or not isinstance(bound.of, Logit | Top):
            raise ValueError(
                f"target: probability() takes classes (indices, names, top(k) or None for the predicted class), got "
                f"{self.of!r}; for the probability of anything else write a function of the outputs."
            )
        return bound, keep

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        return _pick(jax.nn.softmax(logits(outputs)), self.class_index())


@_register(["of", "against"], [])
@dataclasses.dataclass(frozen=True)
class Contrast(_Of):
    """The difference of two scores."""

    against: Any

    @property
    def count(self) -> int:
        return max(self.of.count, self.against.count)

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        of, first = as_target(self.of, labels, batch)
        against, second = as_target(self.against, labels, batch)
        if 1 != of.count != against.count != 1:
            raise ValueError(
                f"target: contrast of {of.count} scores with {against.count}; both sides need as many targets per "
                "example, or one of them one."
            )
        return Contrast(of, against), first or second

    def resolve(self, outputs: Any) -> Contrast:
        sides = self.of.resolve(outputs), self.against.resolve(outputs)
        count = max((leaf.shape[0] for leaf in jax.tree.leaves(sides)), default=1)
        return Contrast(*jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape[1:])), sides))

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        return self.of(outputs) - self.against(outputs)

    def bad(self, outputs: Any) -> Bool[Array, ""]:
        return self.of.bad(outputs) | self.against.bad(outputs)


@_register([], ["score"])
@dataclasses.dataclass(frozen=True)
class Custom(Target):
    """A function of one example's outputs (no batch axis) that returns a scalar.

    The function is static: the same object is compiled once, a new lambda in every call is compiled in every call.
    """

    score: Callable[[Any], Any]

    def bind(self, labels: tuple[str, ...] | None, batch: int) -> tuple[Target, bool]:
        return self, False

    def __call__(self, outputs: Any) -> Float[Array, ""]:
        score = self.score(outputs)
        shape, dtype = jnp.shape(score), getattr(score, "dtype", None)
        if shape != () or dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(
                f"target: the function must return a floating scalar for the outputs of one example, got "
                f"{'shape ' + str(shape) + ' ' + str(dtype) if dtype is not None else type(score).__name__}; the outputs "
                f"it gets have no batch axis: {_describe(outputs)}."
            )
        return score


def top(k: int) -> Target:
    """The k highest-scoring classes of each example, best first; they need no second forward pass.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> x = jnp.ones((1, 2, 2, 3)) * jnp.array([0.0, 2.0, 1.0])
    >>> camjax.explain(model, x, top(2), layer=split).target
    Array([[1, 2]], dtype=int32)

    Raises:
        ValueError: when k is not a positive int; when the model has fewer classes, at `explain`.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"targets.top: k must be a positive int, the number of classes; got {k!r}.")
    return Top(k)


def probability(target: Any = None) -> Target:
    """The softmax probability of the given classes, None: of the predicted one.

    Its gradient compares the class with all others, and vanishes where the model is sure.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> camjax.explain(model, jnp.ones((1, 2, 2, 4)), probability(3), layer=split).score
    Array([0.25], dtype=float32)
    """
    return Probability(target)


def negated(target: Any = None) -> Target:
    """The score with its sign turned: what speaks *against* the target (Grad-CAM paper, counterfactuals).

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> camjax.explain(model, jnp.ones((1, 2, 2, 4)), negated(3), layer=split).score
    Array([-1.], dtype=float32)
    """
    return Negated(target)


def contrast(target: Any, against: Any) -> Target:
    """The difference of two scores: what speaks for `target` rather than for `against`.

    >>> import camjax
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None, labels=("cat", "dog"))
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> x = jnp.ones((1, 2, 2, 2)) * jnp.array([3.0, 1.0])
    >>> camjax.explain(model, x, contrast("cat", "dog"), layer=split).score
    Array([2.], dtype=float32)
    """
    return Contrast(target, against)


def logits(outputs: Any) -> Float[Array, " classes"]:
    """The class scores among one example's outputs: an entry called `logits`, else the only floating leaf.

    >>> logits({"logits": jnp.zeros(10), "features": jnp.zeros(512)}).shape
    (10,)

    Raises:
        ValueError: when there is none, when it is ambiguous, or when it has space or time axes.
    """
    leaves = [
        (path, leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(outputs)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    named = [leaf for path, leaf in leaves if path and _key(path[-1]) == "logits"]
    vectors = [leaf for _, leaf in leaves if leaf.ndim <= 1]
    found = named or vectors
    if len(found) != 1 or found[0].ndim > 1:
        raise ValueError(
            "target: which of the model's outputs are the class scores? One example's outputs are "
            f"{_describe(outputs)}, expected one floating vector, or an entry called 'logits' that is one. Pass a function "
            "instead: target=lambda outputs: ..., from one example's outputs to the scalar to explain."
        )
    return jnp.atleast_1d(found[0])


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


def _pick(scores: Array, index: Array) -> Array:
    # Never clamped: outside the classes it is NaN, and a negative index does not count from the end.
    return scores.at[index].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def _key(entry: Any) -> Any:
    # The name in a path entry: DictKey.key, GetAttrKey.name, else none.
    return getattr(entry, "key", getattr(entry, "name", None))


def _describe(outputs: Any) -> str:
    parts = [
        f"{jax.tree_util.keystr(path) or 'outputs'}: {leaf.dtype}{list(leaf.shape)}"
        for path, leaf in jax.tree_util.tree_leaves_with_path(outputs)
    ]
    return ", ".join(parts) or "empty"
