"""Which axes of a layer's value are space and which are channels."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Num


@dataclasses.dataclass(frozen=True)
class Axes:
    """How one example's layer value (a batch of one) becomes the canonical map `[*space, C]`.

    A value's dimensions are cut to their grid part (`start` to `stop`: class tokens and registers lie
    outside), split into `factors`, permuted by `order` and merged into `grid` and `channels`. So NCHW
    and NHWC, tokens, heads beside channels and windowed layers are all the same thing: a permutation.

    Attributes:
        shape: the value's shape for a batch of one.
        start: per dimension, where the grid begins.
        stop: per dimension, where it ends.
        factors: per dimension, the sizes of its factors, major to minor; their product is `stop - start`.
        order: the permutation of all factors, counted through `factors`, that puts those of space axis 0
            first, then those of axis 1, ..., and those of the channels last. Factors of size 1 may stand anywhere.
        grid: the sizes of the space axes.
        channels: the number of channels.
        leaf: which leaf of the input the grid comes from.
        input_dims: for each grid axis, the dimension of that leaf (batch axis counted) it comes from;
            None: unknown, then the input is taken to be `[B, *space]` or `[B, *space, channels]`.

    Most users never make one: the layout is found. Where it cannot be, `Axes.of` says it in words:

        >>> tokens = Axes.of((1, 197, 768), space=1, grid=(14, 14), prefix=1, channel=2)
        >>> print(tokens)
        14x14 tokens + 1, 768 channels
        >>> print(Axes.of((1, 512, 7, 7), space=(2, 3), channel=1))
        7x7 space, 512 channels
    """

    shape: tuple[int, ...]
    start: tuple[int, ...]
    stop: tuple[int, ...]
    factors: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]
    grid: tuple[int, ...]
    channels: int
    leaf: int = 0
    input_dims: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        sizes = list(itertools.chain.from_iterable(self.factors))
        per_dim = zip(self.start, self.stop, self.factors, strict=True)
        if (
            len(self.shape) != len(self.factors)
            or any(b - a != math.prod(f) for a, b, f in per_dim)
            or sorted(self.order) != list(range(len(sizes)))
            or math.prod(self.grid) * self.channels != math.prod(sizes)
        ):
            raise ValueError(f"Axes: the fields do not describe one permutation of the value: {self!r}.")

    @classmethod
    def of(
        cls,
        shape: Sequence[int],
        space: int | Sequence[int] = (1, 2),
        channel: int | None = 3,
        grid: Sequence[int] | None = None,
        prefix: int = 0,
        suffix: int = 0,
        leaf: int = 0,
        input_dims: Sequence[int] | None = None,
    ) -> Axes:
        """The layout of a value of this `shape` (batch axis first), said by hand.

        Args:
            shape: the value's shape; the size of its batch axis does not matter.
            space: the space axes, in order. One axis with a `grid` is a sequence of tokens.
            channel: the channel axis, or None if there is none (one channel).
            grid: the space sizes of a token axis, row major; `prefix` + h * w + `suffix` is its length.
            prefix: how many tokens stand before the grid (class token, registers).
            suffix: how many stand after it.
            leaf: which leaf of the input the grid comes from.
            input_dims: the dimensions of that leaf the grid comes from, one per grid axis.

        Raises:
            ValueError: when the axes do not fit the shape.
        """
        shape = (1, *shape[1:])
        ndim = len(shape)
        axes = (space,) if isinstance(space, int) else tuple(space)
        named = (*axes, channel) if channel is not None else axes
        if any(not 0 < a < ndim for a in named) or len(set(named)) != len(named):
            raise ValueError(
                f"axes: space={axes} and channel={channel} must be different dimensions from 1 to {ndim - 1} of "
                f"the layer's value, whose shape is {shape} (dimension 0 is the batch)."
            )
        left = [d for d in range(1, ndim) if d not in named and shape[d] != 1]
        if left:
            raise ValueError(
                f"axes: dimensions {left} of the layer's value, whose shape is {shape}, are neither space nor "
                "channel; name every dimension that is longer than 1."
            )
        start, stop = [0] * ndim, list(shape)
        factors: list[tuple[int, ...]] = [(n,) for n in shape]
        if grid is None:
            grid = tuple(shape[a] for a in axes)
            if prefix or suffix:
                raise ValueError("axes: prefix and suffix need grid=, the sizes of the token grid.")
        else:
            grid = tuple(int(n) for n in grid)
            length = prefix + math.prod(grid) + suffix
            if len(axes) != 1 or length != shape[axes[0]]:
                raise ValueError(
                    f"axes: grid={grid} with prefix={prefix} and suffix={suffix} needs one space axis of length "
                    f"{length}, got space={axes} of a value whose shape is {shape}."
                )
            start[axes[0]], stop[axes[0]] = prefix, prefix + math.prod(grid)
            factors[axes[0]] = grid
        first = list(itertools.accumulate((len(f) for f in factors), initial=0))
        rest = [d for d in range(ndim) if d not in named]
        order = [first[d] + i for d in (*rest, *named) for i in range(len(factors[d]))]
        return cls(
            shape=shape,
            start=tuple(start),
            stop=tuple(stop),
            factors=tuple(factors),
            order=tuple(order),
            grid=tuple(grid),
            channels=shape[channel] if channel is not None else 1,
            leaf=leaf,
            input_dims=None if input_dims is None else tuple(input_dims),
        )

    def to_map(self, value: Num[Array, "..."]) -> Num[Array, "*space C"]:
        """The canonical map `[*grid, channels]` inside a value; only moves entries."""
        slices = zip(value.shape, self.start, self.stop, strict=True)
        for dim, (size, start, stop) in enumerate(slices):
            if stop - start != size:
                value = jax.lax.slice_in_dim(value, start, stop, axis=dim)
        split = value.reshape(tuple(itertools.chain.from_iterable(self.factors)))
        return split.transpose(self.order).reshape((*self.grid, self.channels))

    def plant(self, maps: Num[Array, "*space C"], value: Num[Array, "..."]) -> Num[Array, "..."]:
        """`value` with the canonical map `maps` in the grid's place and all else kept; has `value`'s dtype."""
        sizes = tuple(itertools.chain.from_iterable(self.factors))
        inverse = sorted(range(len(sizes)), key=self.order.__getitem__)
        block = maps.astype(value.dtype).reshape(tuple(sizes[i] for i in self.order)).transpose(inverse)
        block = block.reshape(tuple(b - a for a, b in zip(self.start, self.stop, strict=True)))
        return self._insert(block, value, 0)

    def _insert(self, block: Array, value: Array, dim: int) -> Array:
        # Concatenation, not an update of a slice: the latter becomes a scatter under vmap.
        if dim == value.ndim:
            return block
        start, stop, size = self.start[dim], self.stop[dim], value.shape[dim]
        if stop - start == size:
            return self._insert(block, value, dim + 1)
        before, middle, after = jnp.split(value, (start, stop), axis=dim)
        return jnp.concatenate([before, self._insert(block, middle, dim + 1), after], axis=dim)

    def __str__(self) -> str:
        owner = [dim for dim, f in enumerate(self.factors) for _ in f]
        sizes = list(itertools.chain.from_iterable(self.factors))
        outside = sum(n - (b - a) for n, a, b in zip(self.shape, self.start, self.stop, strict=True))
        # The space factors are those before the channels' in `order`.
        left, dims = math.prod(self.grid), set()
        for i in self.order:
            if left > 1 and sizes[i] > 1:
                dims.add(owner[i])
                left //= sizes[i]
        words = "tokens" if outside or 0 < len(dims) < sum(n > 1 for n in self.grid) else "space"
        extra = f" + {outside}" if outside else ""
        return f"{'x'.join(map(str, self.grid))} {words}{extra}, {self.channels} channels"
