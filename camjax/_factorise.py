"""`factorise`: what a layer sees, as a few concepts: Deep Feature Factorisation."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax import _postprocess, _validate
from camjax._axes import Axes
from camjax._example import Example, class_scores, input_size, wide
from camjax._factors import factors
from camjax._layers import split as split_at
from camjax._model import Model
from camjax._split import Split
from camjax._target import logits
from camjax.methods._evaluate import mean_of

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["maps", "heatmap", "concepts", "scores", "errors"],
    meta_fields=["labels"],
)
@dataclasses.dataclass(frozen=True, eq=False)
class Factorisation:
    """The concepts of a set of pictures; a pytree. The concept that makes up most of the feature maps comes first.

    `camjax.plot.panel(pictures[i], found.heatmap[i], titles)` draws those of one picture.

    Attributes:
        maps: `[N, k, *space]`, where each concept is, H; 1 where it is strongest among all pictures.
        heatmap: `[N, k, *size]`, the same upsampled to the input's size or the size asked for; None with `size=None`.
        concepts: `[k, C]`, the feature vector of each concept where it is strongest, W.
        scores: `[k, classes]`, the class scores of a picture that is the concept everywhere; None where the model's
            outputs are no class scores.
        errors: `[iterations + 1]`, ||V - H W|| / ||V|| at the start and after each iteration; it never grows.
        labels: the model's names of the classes, if it has them.
    """

    maps: Float[Array, "N k *space"]
    heatmap: Float[Array, "N k *size"] | None
    concepts: Float[Array, "k C"]
    scores: Float[Array, "k classes"] | None
    errors: Float[Array, " iterations_and_1"]
    labels: tuple[str, ...] | None = None

    def top(self, n: int = 3) -> list[list[tuple[str | int, float]]]:
        """For each concept its n highest classes, by name where the model has names, with their scores.

        Raises:
            ValueError: when the model has no class scores.
        """
        if self.scores is None:
            raise ValueError("top: the model's outputs are no class scores, so its concepts have none.")
        scores = np.asarray(self.scores)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :n]
        names = self.labels
        return [
            [(names[i] if names else int(i), float(row[i])) for i in own] for own, row in zip(best, scores, strict=True)
        ]


def factorise(
    model: Model,
    x: Any,
    *,
    concepts: int = 5,
    layer: str | Split | None = None,
    iterations: int = 200,
    size: str | tuple[int, ...] | None = "input",
    upsampling: str = "bilinear",
    scores: str = "logits",
    axes: Axes | Mapping[str, Any] | None = None,
    chunk: int = 32,
) -> Factorisation:
    """Deep Feature Factorisation: a layer's feature maps for a set of pictures, as a few concepts and where they are.

        min ||V - H W||_F,    V [N Z, C], H [N Z, k], W [k, C], all >= 0

    with a row of V for each of the Z positions of each of the N pictures. Collins, Achanta & Süsstrunk, "Deep feature
    factorization for concept discovery", ECCV 2018 (arXiv:1806.10206). The concepts are those of the pictures together:
    the same one is found again in each of them. No class is asked for; what a concept means to the model its class
    scores tell, those of the head with the concept's vector at every position (the mean over the pictures, where
    something of them bypasses the layer).

    The start is V's own (NNDSVD, Boutsidis & Gallopoulos 2008), not random: the same pictures give the same concepts.
    The updates are Lee & Seung's multiplicative ones, `iterations` of them, and never make the error larger.

    Cost: one forward pass per picture, k of the head, and per iteration 6 N Z C k multiplications; memory for a few
    arrays of V's size. Choose it to see what a set of pictures has in common, part by part, with k about as many as
    the parts that you expect: too few concepts are blends, too many split parts.

    Args:
        model: a `Model`.
        x: the pictures, as the model takes them, batch axis first.
        concepts: k.
        layer: as for `camjax.explain`; its values must not be negative.
        iterations: how many updates.
        size: `"input"`: heatmaps at the input's size; a tuple: at this size; None: no heatmaps.
        upsampling: `"bilinear"` or `"nearest"`.
        scores: as for `camjax.explain`: class scores before a final softmax (`"logits"`), or as the model ends.
        axes: as for `camjax.explain`.
        chunk: how many pictures run at once.

    Returns:
        A `Factorisation`.

    Raises:
        ValueError: for negative or NaN feature maps, for more concepts than V has rows or columns, and for arguments
            that do not fit.

    Example:
        >>> import camjax
        >>> scenes = camjax.testbed.scenes(5, 24, objects=(2, 2))
        >>> found = factorise(camjax.testbed.model(), camjax.testbed.preprocess(scenes.images), concepts=8)
        >>> found.maps.shape, found.heatmap.shape, found.concepts.shape, found.scores.shape
        ((24, 8, 16, 16), (24, 8, 64, 64), (8, 64), (8, 8))
        >>> sorted(own[0][0] for own in found.top(1)) == sorted(camjax.testbed.CLASSES)  # a concept for each class
        True
    """
    x, _ = _validate.check_input(x)
    _postprocess.check(size, None, upsampling)
    _validate.check_choice("scores", scores, ("logits", "outputs"))
    for name, number in {"concepts": concepts, "iterations": iterations, "chunk": chunk}.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ValueError(f"{name}: got {number!r}, expected a positive int.")
    split = split_at(model, x, layer, axes=axes, scores=scores)
    params = split.bound(model.params)
    try:
        class_scores(split, params, x)
        scored = True
    except ValueError:  # maps are found all the same
        scored = False
    size = tuple(size) if isinstance(size, list | tuple) else size
    found, low, high = _run(split, concepts, iterations, size, upsampling, scored, chunk, params, x)
    if not (low >= 0 and 0 < high < float("inf")):
        raise ValueError(_why_not(split, float(low), float(high)))
    return dataclasses.replace(found, labels=model.labels)


@functools.partial(jax.jit, static_argnums=range(7))
def _run(
    split: Split, k: int, iterations: int, size: Any, upsampling: str, scored: bool, chunk: int, params: Any, x: Any
) -> tuple[Factorisation, Any, Any]:
    batch = jax.tree.leaves(x)[0].shape[0]

    def run(x: Any) -> tuple[Any, Any, Any]:
        example = Example.run(split, params, x)
        return wide(example.maps), example.value, example.rest

    A, values, rests = jax.lax.map(run, x, batch_size=min(chunk, batch))
    V = A.reshape(-1, A.shape[-1])
    if k > min(V.shape):
        raise ValueError(
            f"concepts: got {k}, but the feature maps of {batch} pictures are a matrix of {V.shape[0]} positions and "
            f"{V.shape[1]} channels, which has at most {min(V.shape)}; ask for fewer, or give more pictures."
        )
    H, W, errors = factors(V, k, iterations)
    maps = jnp.moveaxis(H.reshape(*A.shape[:-1], k), -1, 1)
    axes = split.layout(values.shape[1:])
    if isinstance(size, str):
        size = input_size(axes, jax.tree.map(lambda leaf: leaf[0], x))
    heatmap = None
    if size is not None:
        if len(size) != maps.ndim - 2:
            raise ValueError(f"size: got {size}, but the maps have {maps.ndim - 2} space axes; give one length each.")
        heatmap = jax.vmap(jax.vmap(lambda one: _postprocess.upsample(one, size, upsampling)))(maps)

    def scores_in(number: Any) -> Any:
        value, rest = jax.tree.map(lambda leaf: leaf[number], (values, rests))

        def of(w: Any) -> Any:
            everywhere = axes.plant(jnp.broadcast_to(w, (*axes.grid, axes.channels)), value)
            return wide(logits(split.unbatched(split.head(params, everywhere, rest))))

        return jax.vmap(of)(W)

    whole = axes.start == (0,) * len(axes.shape) and axes.stop == axes.shape
    alike = whole and not jax.tree.leaves(rests)  # nothing of a picture is left
    means = mean_of(scores_in, 1 if alike else batch, max(1, chunk // k)) if scored else None
    return Factorisation(maps, heatmap, W, means, errors), V.min(), V.max()


def _why_not(split: Split, low: float, high: float) -> str:
    name = f"{split.name!r}" if split.name else "of the Split"
    if low < 0:
        return (
            f"layer: the feature maps of layer {name} are negative in places (down to {low:.3g}), and a factorisation "
            "is one of non-negative numbers; name a layer behind a ReLU (camjax.layers lists all), or pass a "
            "camjax.Split whose features end in jax.nn.relu."
        )
    if low == high == 0:
        return f"layer: all feature maps of layer {name} are zero for these pictures; name another layer."
    return (
        f"x: the feature maps of layer {name} have a NaN or an infinity; look for one in x and in the model's "
        "parameters."
    )
