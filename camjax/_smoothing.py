"""Test-time smoothing: the mean of the maps of flipped, zoomed and noisy versions of an input, each undone."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax._axes import Axes
from camjax._example import space_dims

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class Smoothing:
    """What `camjax.explain(..., smoothing=...)` averages the raw maps over; for any method.

    The flips, the zooms and the noise samples are combined with each other, so the cost is that of the method times
    (2 if `flip`) x (1 + number of `zoom` factors) x `samples`. Flips and zooms are undone on the maps; where a zoomed
    input does not show a position, its map does not count there. The target and the score are those of the clean
    input.

    Args:
        flip: average with the mirror image, along the last space axis (left and right).
        zoom: factors by which the input is magnified about its centre, at its own size: 1.1 shows less of it, 0.9
            shows it smaller, with its edge continued.
        noise: the standard deviation of Gaussian noise on the input, relative to the example's range (max - min),
            as in SmoothGrad (Smilkov et al., 2017, arXiv:1706.03825). It needs `key=`.
        samples: how many draws of the noise; 1 without noise.

    Raises:
        ValueError: when a factor or a number is not positive, or when `samples` are asked for without noise.

    >>> Smoothing(flip=True, zoom=(0.9, 1.1)).count
    6
    """

    flip: bool = False
    zoom: tuple[float, ...] = ()
    noise: float = 0.0
    samples: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "zoom", tuple(float(factor) for factor in self.zoom))
        if any(not (np.isfinite(factor) and factor > 0) for factor in self.zoom):
            raise ValueError(
                f"smoothing: zoom factors must be positive numbers, got {self.zoom}; 1.1 magnifies by 10 %."
            )
        if not (np.isfinite(self.noise) and self.noise >= 0):
            raise ValueError(
                f"smoothing: noise must be a number >= 0, the standard deviation relative to the input's range; got "
                f"{self.noise!r}."
            )
        if isinstance(self.samples, bool) or not isinstance(self.samples, int) or self.samples < 1:
            raise ValueError(f"smoothing: samples must be a positive int, got {self.samples!r}.")
        if self.samples > 1 and not self.noise:
            raise ValueError(
                f"smoothing: {self.samples} samples without noise are {self.samples} times the same; pass noise=0.1, "
                "or leave samples out."
            )

    @property
    def count(self) -> int:
        """How many maps are averaged."""
        return (1 + self.flip) * (1 + len(self.zoom)) * self.samples

    def average(
        self,
        maps_of: Callable[[Any, Any], Float[Array, "K *space"]],
        x: Any,
        axes: Axes,
        key: Any,
        clean: Float[Array, "K *space"],
    ) -> Float[Array, "K *space"]:
        """The smoothed raw maps of one example.

        Args:
            maps_of: the raw maps of another input, and a random key of its own.
            x: the example's input, without a batch axis.
            axes: the layer's, which say from which axes of which leaf of `x` the grid comes.
            key: the example's random key, or None.
            clean: the maps of `x` itself, which are not computed again.
        """
        leaves, tree = jax.tree.flatten(x)
        picture = leaves[axes.leaf]
        dims = space_dims(axes, x, "smoothing")
        views = list(itertools.product((False, True)[: 1 + self.flip], (1.0, *self.zoom)))
        known = 0 if self.noise else 1  # without noise, the first view is x
        if len(views) == known:
            return clean
        pictures = jnp.stack([_view(picture, dims, *view) for view in views[known:]])

        def one(at: Any) -> Float[Array, "K *space"]:
            number, view = at
            own = None if key is None else jax.random.fold_in(key, number)
            shown = self._noisy(view, own)
            return maps_of(tree.unflatten([*leaves[: axes.leaf], shown, *leaves[axes.leaf + 1 :]]), own)

        repeated = jnp.repeat(pictures, self.samples, 0)
        # One after the other: memory stays that of one.
        maps = jax.lax.map(one, (jnp.arange(known, self.count), repeated))
        maps = maps.reshape(len(views) - known, self.samples, *maps.shape[1:]).mean(1)
        all_maps = [*[clean] * known, *maps]
        grid = tuple(range(1, clean.ndim))
        back, seen = zip(*(_undone(maps, grid, *view) for maps, view in zip(all_maps, views, strict=True)), strict=True)
        total, times = sum(back[1:], back[0]), sum(seen[1:], seen[0])
        return total / jnp.expand_dims(times, 0)  # the clean view has seen every position

    def _noisy(self, picture: Any, key: Any) -> Any:
        if not self.noise:
            return picture
        width = self.noise * (picture.max() - picture.min())
        return picture + width * jax.random.normal(jax.random.fold_in(key, 1), picture.shape, picture.dtype)


def _view(picture: Any, dims: tuple[int, ...], flip: bool, factor: float) -> Any:
    shown = jnp.flip(picture, dims[-1]) if flip else picture
    if factor != 1:
        for dim in dims:
            shown = _along(shown, dim, _magnified(picture.shape[dim], factor)[0])
    return shown


def _undone(maps: Any, dims: tuple[int, ...], flip: bool, factor: float) -> tuple[Any, Any]:
    # The maps [K, *space] of a view as maps of the clean input, zero and unseen where the view did not show it.
    seen = jnp.ones(maps.shape[1:], maps.dtype)
    if factor != 1:
        for dim in dims:
            matrix, inside = _magnified(maps.shape[dim], 1 / factor)
            maps = _along(maps, dim, matrix * inside[:, None])
            shape = [1] * seen.ndim
            shape[dim - 1] = -1
            seen = seen * jnp.broadcast_to(jnp.asarray(inside, maps.dtype).reshape(shape), seen.shape)
    return (jnp.flip(maps, dims[-1]) if flip else maps), (jnp.flip(seen, dims[-1] - 1) if flip else seen)


def _magnified(n: int, factor: float) -> tuple[np.ndarray, np.ndarray]:
    # [n, n]: linear interpolation of a line magnified about its centre, edges continued; and where it shows the line.
    at = (np.arange(n) + 0.5 - n / 2) / factor + n / 2 - 0.5
    inside = (at > -0.5 - 1e-9) & (at < n - 0.5 + 1e-9)
    at = at.clip(0, n - 1)
    low = np.floor(at).astype(int).clip(0, max(n - 2, 0))
    matrix = np.zeros((n, n))
    np.add.at(matrix, (np.arange(n), low), 1 - (at - low))
    np.add.at(matrix, (np.arange(n), np.minimum(low + 1, n - 1)), at - low)
    return matrix, inside.astype(float)


def _along(array: Any, dim: int, matrix: np.ndarray) -> Any:
    product = jnp.tensordot(jnp.asarray(matrix, array.dtype), array, ((1,), (dim,)), precision="highest")
    return jnp.moveaxis(product, 0, dim)
