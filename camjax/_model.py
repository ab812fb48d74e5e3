"""A model as camjax sees it: a pure function, its parameters, and how its inputs are made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """How a picture becomes the model's input; data only, so that it can be stored and compared.

    The picture is resized so that its shorter side has `resize` pixels (bilinear when `interpolation`
    is `"bilinear"`), the centre `size` = (height, width) is cropped, values 0..255 are divided by
    `scale`, then `mean` is subtracted and the result divided by `std`, per channel. With
    `resize=None` the picture is resized to `size` directly.

    Example:
        >>> Preprocess(size=(224, 224), resize=256).mean
        (0.485, 0.456, 0.406)
    """

    size: tuple[int, int] = (224, 224)
    resize: int | None = 256
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    scale: float = 255.0
    layout: str = "NHWC"
    interpolation: str = "bilinear"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Preprocess:
        """The inverse of `dataclasses.asdict`, also after JSON has made its tuples lists.

        Example:
            >>> Preprocess.from_dict({"size": [224, 224], "resize": None}).size
            (224, 224)
        """
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**fields)


# Equal to itself only: arrays have no hash, and `jax.jit(model)` needs one.
@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A function `apply(params, x) -> outputs` together with its parameters.

    Args:
        apply: a pure function. `x` is an array, or a pytree of arrays, with the batch axis first; so are
            the outputs. It is never changed, only traced.
        params: any pytree of arrays.
        labels: the names of the classes, in the order of the logits, if they are known.
        preprocess: how a picture becomes `x`, if that is known (used by the command line).
        rewrite: whether, on a CPU, the convolutions of the traced model are evaluated by equal expressions (up to
            rounding) where XLA is slow at them: depthwise, pointwise and grouped ones, patches, stems of few
            channels, 3x3 ones of many (which round to the largest value nearby, so that a sum that is zero need not
            be), those of short rows, which XLA computes on one core alone, and any inside of a loop, as methods that
            evaluate the model many times have it; and pooling between them, over overlapping windows. Calling the model
            itself, and all other platforms, are unaffected. `dataclasses.replace(model, rewrite=False)` turns it off:
            the program is compiled sooner, which counts for more where a single picture is explained.

    A `Model` is a pytree whose leaves are those of `params`, so `jax.jit`, `jax.grad`, sharding and
    `jax.tree.map` treat it like any other tree of arrays; all else is static.

    Example:
        >>> import jax.numpy as jnp
        >>> model = Model(lambda w, x: x @ w, jnp.ones((3, 2)), labels=("cat", "dog"))
        >>> model(jnp.ones((1, 3))).shape
        (1, 2)
    """

    apply: Callable[[Any, Any], Any]
    params: Any
    labels: tuple[str, ...] | None = None
    preprocess: Preprocess | None = None
    rewrite: bool = True

    def __post_init__(self) -> None:
        if not callable(self.apply):
            raise TypeError(
                f"Model: apply must be a function apply(params, x), got {type(self.apply).__name__}; for a framework's "
                "module use its adapter, for example camjax_flax.from_linen(module, variables)."
            )
        if self.labels is not None and not isinstance(self.labels, tuple):
            labels: Sequence[str] = self.labels
            object.__setattr__(self, "labels", tuple(labels))

    def __call__(self, x: Any) -> Any:
        """The model's outputs for a batch `x`."""
        return self.apply(self.params, x)


_STATIC = ["apply", "labels", "preprocess", "rewrite"]
jax.tree_util.register_dataclass(Model, data_fields=["params"], meta_fields=_STATIC)
