"""FullGrad (Srinivas and Fleuret, NeurIPS 2019, arXiv:1905.00780)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import jax.numpy as jnp

from camjax._postprocess import normalised
from camjax.methods._contract import About, CoarseMap

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class FullGrad:
    """FullGrad: the shares of the input and of every bias, each as a picture, added up.

        S = sum x * dS/dx + sum over sites of sum b * g                     (completeness)
        raw = sum_c U(psi(|x * dS/dx|)) + sum over sites of sum_c U(psi(|b * g|))       (the map)

    with psi the min-max normalisation of one example's share, jointly over channels and space, U upsampling to the
    input's size, and g = dS/db. A *site* is whatever the score owes to no input: the bias of a convolution, the shift
    of a batch normalisation, and, so that the sum is exact for any differentiable model, the affine residual
    f(z) - f'(z) z (the paper's implicit bias) of every nonlinear equation but ReLUs and maxima: what ReLU6 cuts off,
    GELU, SiLU, softmax, the pieces of a layer normalisation. `camjax.testing.completeness` adds all of them up.

    A site's share is in the map where the model's grid lies on its values; the biases of fully connected layers, and
    what lies on an attention's pairs of tokens, are not, nor is anything inside a `jax.lax.scan` but its results.

    Shapes: raw `[*space of the input]`, whatever the layer, which is not looked at. Every share is positive, so the map
    says where the score comes from, not what speaks for it. Cost: two forward passes and, per target, one backward
    pass of the whole model. It needs a traced model, no hand-written `camjax.Split`.

    For a picture of the input's resolution that takes all of a network into account.

    Raises ValueError for a hand-written `Split`, for a model none of whose values is known to lie on the grid, and for
    one with a while loop.

    The picture [3, 1] and the biases of two channels `relu(2 x + 1)`, averaged; the score is the first channel's mean:

    >>> import camjax, jax, jax.numpy as jnp
    >>> def apply(params, x):
    ...     with jax.named_scope("conv"):
    ...         dims = ("NWC", "WIO", "NWC")
    ...         x = jax.lax.conv_general_dilated(x, params["kernel"], (1,), "SAME", dimension_numbers=dims)
    ...         x = jax.nn.relu(x + params["bias"])
    ...     return x.mean(1)
    >>> model = camjax.Model(apply, {"kernel": jnp.full((1, 1, 2), 2.0), "bias": jnp.ones((1, 1, 2))})
    >>> x = jnp.array([[[3.0], [1.0]]])
    >>> explanation = camjax.explain(model, x, 0, method=camjax.methods.FullGrad())
    >>> explanation.raw[0]  # psi([3, 1]) = [1, 0], and psi([[1/2, 0], [1/2, 0]]), of 2 channels, is [1, 1] in the sum
    Array([2., 1.], dtype=float32)
    >>> camjax.testing.completeness(model, x, 0).total.item()  # 3 + 1 + 1/2 + 1/2
    5.0
    """

    grid: ClassVar[str] = "input"
    about: ClassVar[About] = About(
        "Srinivas and Fleuret, NeurIPS 2019 (arXiv:1905.00780)",
        "2 forward passes, 1 backward pass of the whole model per target",
        "a picture at the input's resolution of all layers' shares; unsigned",
    )

    def __call__(self, *, sites: Sequence[Float[Array, "..."]], upsample: Callable[[Any], Any]) -> CoarseMap:
        """The map of one example and one target; the class has the equations."""
        raw = upsample(_psi(sites[0]).sum(-1))
        for share in sites[1:]:
            raw = raw + upsample(_psi(share).sum(-1))
        return CoarseMap(raw)


def _psi(share: Float[Array, "*space C"]) -> Float[Array, "*space C"]:
    # Upsampling is linear: one map per site is upsampled, the sum over its channels.
    return normalised(jnp.abs(share), "minmax")
