"""How important each channel is for a score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from camjax._axes import Axes
from camjax._explain import explain
from camjax._model import Model
from camjax._split import Split
from camjax.methods import GradCAM, Method
from camjax.methods._contract import describe

if TYPE_CHECKING:
    from jaxtyping import Array, Float

_GRADCAM = GradCAM()


def importance(
    model: Model,
    x: Any,
    target: Any = None,
    *,
    layer: str | Split | None = None,
    method: Method = _GRADCAM,
    scores: str = "logits",
    axes: Axes | Mapping[str, Any] | None = None,
    strict: bool = True,
    ids: Any = None,
    key: Any = None,
) -> Float[Array, "B *K C"]:
    """The importance of each channel of a layer for a score: the weights that the map is made with.

        alpha_k = 1/Z sum_p dS/dA[k, p]         (eq. 1 of Grad-CAM, arXiv:1610.02391)

    Above zero: what the channel detects raises the score; below: it lowers it. Like `Explanation.weights`, with which
    it agrees, but no map is drawn. It can be called inside `jax.jit`.

    Cost: that of the method; Grad-CAM: one forward pass, and one backward pass of the head per target.

    Args:
        model: a `Model`.
        x: the model's input, batch axis first.
        target: as for `camjax.explain`: with K classes for each example the result has an axis K.
        layer: one layer, as there.
        method: one that weighs channels: `GradCAM()`, `XGradCAM()`, `AblationCAM()`, ... The paper's is the default.
        scores: as for `camjax.explain`, and so are the others.
        axes: see there.
        strict: see there.
        ids: see there.
        key: see there.

    Raises:
        ValueError: as `camjax.explain`; and for a method without channel weights, or several layers.

    Example:
        >>> import camjax
        >>> net, seen = camjax.testbed.model(), camjax.testbed.example(64)
        >>> alpha = importance(net, camjax.testbed.preprocess(seen.images), ["star", "heart"])
        >>> alpha.shape
        (1, 2, 64)
    """
    if isinstance(layer, list | tuple):
        raise ValueError(f"layer: the channels of one layer are compared, got {layer!r}; name one layer.")
    options = {"layer": layer, "method": method, "scores": scores, "axes": axes, "strict": strict}
    weights = explain(model, x, target, size=None, ids=ids, key=key, **options).weights
    if weights is None:
        raise ValueError(
            f"method: {describe(method)} gives channels no weights (it weighs each position by itself, or several "
            "layers); use one that does, such as camjax.GradCAM(), the default."
        )
    return weights
