"""LayerCAM (Jiang et al., IEEE TIP 2021)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import jax
import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class LayerCAM:
    """LayerCAM: activations weighted, position by position, by their positive gradients.

        raw = sum_k relu(dS/dA_k) * A_k

    Cost: one forward pass, and one backward pass of the head per target.

    To choose for shallow layers, where weights averaged over space blur. Positions that the score does not
    read get zero, as with HiResCAM; but what speaks against the target is dropped, so the map is neither
    linear in the score nor odd, and does not sum to it. It has no channel weights.

    >>> import camjax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: x[:, 0, 0] @ w, jnp.array([[2.0], [-1.0]]))
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A[:, 0, 0] @ w)
    >>> camjax.explain(model, jnp.ones((1, 2, 2, 2)), 0, layer=split, method=camjax.LayerCAM()).raw[0]
    Array([[2., 0.],
           [0., 0.]], dtype=float32)
    """

    about: ClassVar[About] = About(
        "Jiang et al., IEEE TIP 2021 (doi:10.1109/TIP.2021.3089943)",
        "1 forward; 1 backward of the head",
        "shallow layers, and several layers with fusion='layercam'",
    )

    def __call__(self, *, activations: Float[Array, "*space C"], gradients: Float[Array, "*space C"]) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equation."""
        positive = jax.nn.relu(gradients)
        return CoarseMap(jnp.vecdot(activations, positive, precision="highest"), terms=activations * positive)
