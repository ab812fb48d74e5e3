"""`explainer`: the explanation as a pure function, traced once, for programs that run many times."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from camjax import _validate
from camjax._axes import Axes
from camjax._explanation import Explanation
from camjax._layers import splits
from camjax._model import Model
from camjax._options import Options
from camjax._pipe import explain_batch
from camjax._smoothing import Smoothing
from camjax._split import Split
from camjax._target import as_target, check_softmax
from camjax.fusion import Fusion
from camjax.methods import GradCAM, Method
from camjax.methods._contract import retargeted
from camjax.trace import specs_of

_GRADCAM = GradCAM()


def explainer(
    model: Model,
    x: Any,
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
    chunk: int | None = None,
) -> Callable[..., Explanation]:
    """A pure function `f(model, x, target=None, *, ids=None, key=None) -> Explanation` for inputs like `x`.

    The model is traced here, once, from one example; `f` takes any batch size and any parameters of the same
    shapes. It never looks at values: what `explain` would raise for them, it tells by `status`. Its results always
    have the axis K. It can be given to `jax.jit`, `jax.vmap`, `jax.grad` (with respect to `x` and to the model) and
    `jax.export` (with a symbolic batch), and follows the sharding of its arguments.

    Args:
        model: a `Model`.
        x: an input like those to come, batch axis first; only shapes and dtypes matter, so that a
            `jax.ShapeDtypeStruct` will do.
        layer: as for `camjax.explain`, and so are the other options.
        fusion: see there.
        method: see there.
        size: see there.
        normalize: see there.
        upsampling: see there.
        scores: see there.
        axes: see there.
        smoothing: see there.
        chunk: see there.

    Raises:
        ValueError: when an argument does not fit the model; `f` too, where shapes and dtypes tell.

    Example:
        >>> import camjax, jax, jax.numpy as jnp
        >>> def apply(params, x):
        ...     with jax.named_scope("conv"):
        ...         dims = ("NHWC", "HWIO", "NHWC")
        ...         x = jax.lax.conv_general_dilated(x, params, (1, 1), "SAME", dimension_numbers=dims)
        ...     return x.mean((1, 2))
        >>> model = camjax.Model(apply, jnp.ones((3, 3, 1, 2)))
        >>> f = camjax.explainer(model, jax.ShapeDtypeStruct((1, 8, 8, 1), jnp.float32), size=None)
        >>> jax.jit(f)(model, jnp.ones((5, 8, 8, 1)), jnp.array([[0, 1]])).raw.shape
        (5, 2, 8, 8)
    """
    x, _ = _validate.check_input(x, shapes=True)
    _validate.check_method(method)
    options = Options.checked(method, size, normalize, upsampling, scores, chunk, smoothing)
    cuts, fuse = splits(model, x, layer, method, axes, scores, fusion)
    options = options.of(cuts, fuse, keep=True)
    example, weights = _like(x, 1), _like(model.params, 0)

    def explain_like(model: Model, x: Any, target: Any = None, *, ids: Any = None, key: Any = None) -> Explanation:
        x, batch = _validate.check_input(x)
        _check_like("x", _like(x, 1), example, "one example")
        _check_like("model", _like(model.params, 0), weights, "the parameters")
        _validate.check_key(method, key, smoothing)
        ids = _validate.check_ids(ids, batch)
        bound, _ = as_target(retargeted(method, target), model.labels, batch)
        check_softmax(bound, scores)
        return explain_batch(cuts, method, options, model.params, x, bound, ids, key)

    return explain_like


def _like(tree: Any, skip: int) -> Any:
    # Shapes without the batch axis; dtypes may change (a model may be cast), its structure may not.
    leaves, structure = jax.tree.flatten(tree)
    return structure, [shape[skip:] for shape in specs_of(leaves)[0]]


def _check_like(argument: str, got: Any, expected: Any, what: str) -> None:
    if got != expected:
        made, given = (jax.tree.unflatten(*like) for like in (expected, got))
        raise ValueError(
            f"{argument}: the explainer was made for {what} of shapes {made}, got {given}; make another explainer "
            "for these, it is traced once for each."
        )
