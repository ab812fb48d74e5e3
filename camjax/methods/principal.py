"""Principal-component smoothing of any method that adds up channels."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from camjax.methods._contract import About, CoarseMap, Method, describe, needs_of
from camjax.methods._principal import first_component, towards
from camjax.methods.gradcam import GradCAM


@dataclasses.dataclass(frozen=True)
class Principal:
    """The first principal component of a method's channels, in the place of their sum.

        raw = (T - mean) v_1,  T the channels' shares as [Z, C], whose sum is the method's own map

    with the sign that agrees with that map. It leaves out what the channels do not share: less noise, but no longer a
    sum of evidence. pytorch-grad-cam's `eigen_smooth`.

    Args:
        of: the method.

    Raises:
        ValueError: when the method's map is not a sum over channels.

    >>> import jax.numpy as jnp
    >>> A = jnp.array([[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]])
    >>> Principal()(activations=A, gradients=jnp.ones((3, 2))).raw.round(3)
    Array([ 0., -5.,  5.], dtype=float32)
    """

    of: Method = dataclasses.field(default_factory=GradCAM)

    about: ClassVar[About] = About(
        "pytorch-grad-cam (eigen_smooth), after arXiv:2008.00299",
        "that of the method it is given (Grad-CAM); an eigenvector of a matrix of min(C, Z)",
        "noisy maps of many channels",
    )

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of the method inside."""
        return needs_of(self.of)

    @property
    def refusal(self) -> str:
        """That of the method inside."""
        return getattr(self.of, "refusal", "")

    def retarget(self, target: Any) -> Any:
        """That of the method inside."""
        retarget = getattr(self.of, "retarget", None)
        return target if retarget is None else retarget(target)

    def __call__(self, **given: Any) -> CoarseMap:
        """The coarse map of one example and one target; the class has the equation."""
        coarse = self.of(**given)
        if coarse.terms is None:
            raise ValueError(
                f"Principal: the map of {describe(self.of)} is not a sum over channels, so it has no principal "
                "component; choose a method that weighs channels, such as camjax.GradCAM()."
            )
        terms = coarse.terms.reshape(-1, coarse.terms.shape[-1])
        centred = terms - terms.mean(0, keepdims=True)
        found = towards(first_component(centred), terms.sum(1))
        return coarse._replace(raw=found.reshape(coarse.raw.shape), weights=None)
