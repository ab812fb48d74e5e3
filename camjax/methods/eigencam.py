"""Eigen-CAM, EigenGrad-CAM and KPCA-CAM: the strongest pattern in the feature maps."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import jax.numpy as jnp

from camjax.methods._contract import About, CoarseMap
from camjax.methods._principal import first_component, top, towards

if TYPE_CHECKING:
    from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class EigenCAM:
    """Eigen-CAM (Muhammad & Yeasin, IJCNN 2020, arXiv:2008.00299): the feature maps on their first principal direction.

        raw = X v_1,  X = U S V' the feature maps as [Z, C]        (eq. 3)

    It knows nothing of any class. The sign agrees with sum_k A_k: behind a ReLU, the map has no negative value.

    Args:
        center: take each channel's mean away first, as pytorch-grad-cam does: another map.

    >>> import jax.numpy as jnp
    >>> EigenCAM()(activations=jnp.array([[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]])).raw
    Array([ 5.,  0., 10.], dtype=float32)
    """

    center: bool = False

    about: ClassVar[About] = About(
        "Muhammad & Yeasin, IJCNN 2020 (arXiv:2008.00299)",
        "1 forward; an eigenvector of a matrix of min(C, Z)",
        "any class: what the layer saw most of, without asking for a class",
    )

    def __call__(self, *, activations: Float[Array, "*space C"]) -> CoarseMap:
        """The coarse map of one example, the same for every target; the class has the equation."""
        rows = _rows(activations)
        found = towards(first_component(_centred(rows) if self.center else rows), rows.sum(1))
        return CoarseMap(found.reshape(activations.shape[:-1]))


@dataclasses.dataclass(frozen=True)
class EigenGradCAM:
    """EigenGrad-CAM: the first principal component of gradient times activation.

        raw = (X - mean) v_1,  X = G * A as [Z, C]

    with the sign that agrees with sum_k G * A, HiResCAM's map.

    >>> import jax.numpy as jnp
    >>> A, G = jnp.array([[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]]), jnp.ones((3, 2))
    >>> EigenGradCAM()(activations=A, gradients=G).raw.round(3)
    Array([ 0., -5.,  5.], dtype=float32)
    """

    about: ClassVar[About] = About(
        "pytorch-grad-cam (EigenGradCAM), after arXiv:2008.00299",
        "1 forward; 1 backward of the head; an eigenvector of a matrix of min(C, Z)",
        "HiResCAM with what its channels do not share left out",
    )

    def __call__(self, *, activations: Float[Array, "*space C"], gradients: Float[Array, "*space C"]) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equation."""
        rows = _rows(activations * gradients)
        found = towards(first_component(_centred(rows)), rows.sum(1))
        return CoarseMap(found.reshape(activations.shape[:-1]))


@dataclasses.dataclass(frozen=True)
class KPCACAM:
    """KPCA-CAM (Karmani et al., 2024, arXiv:2410.00267): Eigen-CAM with a kernel.

        raw = sqrt(l_1) u_1 of the double-centred K,  K_pq = tanh(x_p . x_q / C + 1)

    with x_p the centred channels at position p. It knows nothing of any class. The sign makes the largest entry
    positive.

    >>> import jax.numpy as jnp
    >>> KPCACAM()(activations=jnp.array([[0.0, 0.0], [0.0, 0.0], [3.0, 1.0]])).raw.argmax().item()
    2
    """

    about: ClassVar[About] = About(
        "Karmani et al., 2024 (arXiv:2410.00267)",
        "1 forward; an eigenvector of a matrix of Z",
        "any class: as Eigen-CAM, for patterns that are no straight line",
    )

    def __call__(self, *, activations: Float[Array, "*space C"]) -> CoarseMap:
        """The coarse map of one example, the same for every target; the class has the equation."""
        rows = _centred(_rows(activations))
        kernel = jnp.tanh(jnp.matmul(rows, rows.T, precision="highest") / rows.shape[1] + 1)
        centred = _centred(_centred(kernel).T)
        value, vector = top(centred)
        positive = value > 0
        found = jnp.where(positive, jnp.sqrt(jnp.where(positive, value, 1)), 0) * vector
        strongest = jnp.take(found, jnp.argmax(jnp.abs(found)))
        return CoarseMap(jnp.where(strongest < 0, -found, found).reshape(activations.shape[:-1]))


def _rows(values: Float[Array, "*space C"]) -> Float[Array, "Z C"]:
    return values.reshape(-1, values.shape[-1])


def _centred(rows: Float[Array, "Z C"]) -> Float[Array, "Z C"]:
    return rows - jnp.broadcast_to(rows.mean(0), rows.shape)
