"""A model cut in two at a layer: what runs once, and what is differentiated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax

from camjax._axes import Axes

if TYPE_CHECKING:
    from camjax.trace import Traced


@dataclasses.dataclass(frozen=True)
class Split:
    """A model cut at a layer, from a trace (`camjax.split`) or written by hand.

    Args:
        features: `features(params, x) -> (A, rest)`: the layer's feature maps A and every earlier value the
            head still reads, any pytree (None where nothing bypasses the layer). Runs once and is never
            differentiated.
        head: `head(params, A, rest) -> outputs`: the rest of the model, with A planted at the layer.
        axes: the layout of A: an `Axes`, the arguments of `Axes.of` without the shape as a dict, or None
            for `[B, *space, C]`.
        batched: for each leaf of the outputs, in flattening order, whether its first axis is the batch; None: all.
        name: the layer's name, for messages.
        tail: the softmax-like tail that was removed from the head ("softmax", "sigmoid", ...), if one was.
        bind: puts large arrays that the functions captured beside the parameters that they take, so that a compiled
            program has them as arguments rather than as constants; None: they captured none.
        source: the traced model that the split comes from, for methods that look into the whole program.

    Both functions have the batch axis first, like `Model.apply`; camjax calls them with a batch of one and
    maps over examples with `jax.vmap`. A `Split` is hashable, so that it can key compiled functions.

    Example:
        A convolution-free network: pixels are mixed by `w`, then averaged over space.

        >>> import camjax, jax.numpy as jnp
        >>> model = camjax.Model(lambda w, x: (x @ w).mean((1, 2)), jnp.eye(2))
        >>> split = camjax.Split(lambda w, x: (x @ w, None), lambda w, A, rest: A.mean((1, 2)))
        >>> x = jnp.zeros((1, 4, 4, 2)).at[0, 0, 3, 1].set(5.0)
        >>> camjax.explain(model, x, 1, layer=split).heatmap[0].argmax().item()
        3
    """

    features: Callable[[Any, Any], tuple[Any, Any]]
    head: Callable[[Any, Any, Any], Any]
    axes: Axes | Mapping[str, Any] | tuple[tuple[str, Any], ...] | None = None
    batched: tuple[bool, ...] | None = None
    name: str = ""
    tail: str | None = None
    bind: Callable[[Any], Any] | None = None
    source: Traced | None = None

    def __post_init__(self) -> None:
        if isinstance(self.axes, Mapping):  # hashable, like everything else here
            items = sorted(self.axes.items())
            frozen = tuple((k, tuple(v) if isinstance(v, Sequence) else v) for k, v in items)
            object.__setattr__(self, "axes", frozen)
        if self.batched is not None:
            object.__setattr__(self, "batched", tuple(self.batched))

    def layout(self, shape: tuple[int, ...]) -> Axes:
        """The `Axes` of A, whose shape for a batch of one is `shape`.

        Raises:
            ValueError: when `axes` does not fit the shape, or when A has no space axis.
        """
        if isinstance(self.axes, Axes):
            if self.axes.shape != shape:
                raise ValueError(
                    f"axes: they describe a value of shape {self.axes.shape}, got a layer whose value has shape "
                    f"{shape} for a batch of one."
                )
            return self.axes
        if self.axes is not None:
            return Axes.of(shape, **dict(self.axes))
        if len(shape) < 3:
            raise ValueError(
                f"layer {self.name or 'of the Split'}: a class-activation map needs feature maps [B, *space, C], got "
                f"shape {shape}, which has no space axis; name an earlier layer, or say the layout with axes=."
            )
        return Axes.of(shape, space=tuple(range(1, len(shape) - 1)), channel=len(shape) - 1)

    @property
    def widest(self) -> int:
        """The bytes of the largest array inside of the model, of one example; 0: unknown."""
        return self.source.widest if self.source else 0

    def bound(self, params: Any) -> Any:
        """The first argument of `features` and `head` in a compiled program."""
        return params if self.bind is None else self.bind(params)

    def outputs(self, params: Any, x: Any) -> Any:
        """The outputs for one example, neither of which has a batch axis, in the scores that the head gives."""
        return self.unbatched(self.head(params, *self.features(params, jax.tree.map(lambda leaf: leaf[None], x))))

    def unbatched(self, outputs: Any) -> Any:
        """The head's outputs for a batch of one, as those of the one example: no batch axis."""
        leaves, tree = jax.tree.flatten(outputs)
        batched = self.batched or (True,) * len(leaves)
        return tree.unflatten([leaf[0] if has else leaf for leaf, has in zip(leaves, batched, strict=True)])
