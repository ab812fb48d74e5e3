"""`explain`: from a model, an input and a target to maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from camjax import _diagnose, _validate
from camjax._axes import Axes
from camjax._explanation import Explanation
from camjax._layers import better_layer, splits
from camjax._model import Model
from camjax._options import Options
from camjax._pipe import explain_batch
from camjax._smoothing import Smoothing
from camjax._split import Split
from camjax._target import as_target, check_softmax
from camjax.fusion import Fusion
from camjax.methods import GradCAM, Method
from camjax.methods._contract import retargeted

_GRADCAM = GradCAM()


def explain(
    model: Model,
    x: Any,
    target: Any = None,
    *,
    layer: str | Split | Sequence[str | Split] | None = None,
    fusion: str | Fusion | None = None,
    method: Method = _GRADCAM,
    size: str | tuple[int, ...] | None = "input",
    normalize: str | None = "max",
    upsampling: str = "bilinear",
    scores: str = "logits",
    axes: Axes | Mapping[str, Any] | None = None,
    smoothing: Smoothing | None = None,
    strict: bool = True,
    chunk: int | None = None,
    ids: Any = None,
    key: Any = None,
) -> Explanation:
    """Class-activation maps: where in `x` the model saw evidence for `target`.

    Each example is explained by itself: the result for a batch is the stack of the results for its examples. One
    forward pass, whatever the number of targets; only the part of the model after the layer is differentiated.
    It can be called inside `jax.jit`, `jax.vmap` and `jax.grad`.

    Args:
        model: a `Model`, from an adapter or made from a function.
        x: the model's input, an array or a pytree of arrays, with the batch axis first.
        target: what to explain: None (the class predicted for each example), a class index, a class name, `[B]`
            indices (one per example), `[B, K]` or `[1, K]` indices or a list of K names (K maps per example), an
            object of `camjax.targets`, or a function of one example's outputs that returns a scalar.
        layer: the name of a layer (`camjax.layers` lists them), a hand-written `Split`, or None for the default. Of
            several layers (a list, or `"stages"`: the last layer of each of the last four resolutions, unless a layer
            is called so) the maps are fused, from one forward and one backward pass.
        fusion: how the maps of several layers become one, at the largest one's resolution: `"mean"` (the default),
            `"max"`, `"sum"`, `"product"`, `"layercam"`, or a function (`camjax.fusion`).
        method: `GradCAM()`, another of `camjax.methods` (`camjax methods` lists them), or your own.
        size: the heatmap's size: `"input"`, one length per space axis, or None for no heatmap.
        normalize: `"max"` divides each heatmap by its maximum, `"minmax"` shifts and scales it to 0..1, None leaves
            it as it is.
        upsampling: `"bilinear"` (half-pixel centres) or `"nearest"`.
        scores: `"logits"` takes class scores before a final softmax or sigmoid, `"outputs"` as the model returns them.
        axes: the layer's layout where it cannot be found: an `Axes`, or a dict of the arguments of `Axes.of`.
        smoothing: a `camjax.Smoothing`: the mean of the maps of flipped, zoomed or noisy versions of the input.
        strict: whether what only values tell (a class out of range, NaN, a zero gradient) raises. With False, and
            always under `jax.jit`, it is told by `Explanation.status` alone.
        chunk: how many evaluations of the head or of the model, over batch and targets, run at once; bounds memory.
            None: 128 of the head, 32 of the whole model; on a CPU a batch then runs in portions, too, of up to four
            pictures of 224x224 for each core, or as many entries, and fewer where the model's maps are wide.
        ids: `[B]` integers, the examples' own numbers, for methods that draw random numbers: an example's noise depends
            on `key` and its id alone. By default 0 to B-1.
        key: a `jax.random.key`, for those methods.

    Returns:
        An `Explanation`, without the axis K unless the target had one.

    Raises:
        ValueError: when an argument does not fit the model or the others; see `strict` for what depends on values.

    Example:
        >>> import camjax, jax, jax.numpy as jnp
        >>> def apply(params, x):
        ...     with jax.named_scope("conv"):
        ...         dims = ("NHWC", "HWIO", "NHWC")
        ...         x = jax.lax.conv_general_dilated(x, params, (1, 1), "SAME", dimension_numbers=dims)
        ...     return x.mean((1, 2))
        >>> model = camjax.Model(apply, jnp.ones((3, 3, 1, 2)), labels=("this", "that"))
        >>> explanation = camjax.explain(model, jnp.eye(8)[None, :, :, None], "that")
        >>> explanation.heatmap.shape, explanation.score.shape
        ((1, 8, 8), (1,))
    """
    x, batch = _validate.check_input(x)
    _validate.check_method(method)
    options = Options.checked(method, size, normalize, upsampling, scores, chunk, smoothing)
    _validate.check_key(method, key, smoothing)
    ids = _validate.check_ids(ids, batch)
    cuts, fuse = splits(model, x, layer, method, axes, scores, fusion)
    bound, keep = as_target(retargeted(method, target), model.labels, batch)
    check_softmax(bound, scores)
    options = options.of(cuts, fuse, keep)
    result = explain_batch(cuts, method, options, model.params, x, bound, ids, key)
    if strict:
        _diagnose.check(result, method, cuts, model.params, x, lambda: better_layer(model, x, cuts), bound)
    return result
