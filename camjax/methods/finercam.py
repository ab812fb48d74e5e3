"""Finer-CAM (Zhang et al., CVPR 2025, arXiv:2501.11309)."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from camjax.methods._contract import About, CoarseMap, Method, needs_of
from camjax.methods.gradcam import GradCAM


@dataclasses.dataclass(frozen=True)
class FinerCAM:
    """Finer-CAM: the map of what tells a class from those most like it.

        S = y_c - alpha * mean of y_d over the n classes d whose logits are nearest to y_c

    explained by any other method. The classes are chosen once; nothing is differentiated through the choice.

    Args:
        of: the method that explains the difference.
        alpha: how much the similar classes count.
        classes: n.

    >>> import camjax, jax.numpy as jnp
    >>> model = camjax.Model(lambda w, x: x.mean((1, 2)), None)
    >>> split = camjax.Split(lambda w, x: (x, None), lambda w, A, rest: A.mean((1, 2)))
    >>> x = jnp.ones((1, 2, 2, 4)) * jnp.array([4.0, 3.0, 1.0, 3.5])
    >>> camjax.explain(model, x, 0, layer=split, method=FinerCAM(classes=2)).weights * 4
    Array([[ 1. , -0.3,  0. , -0.3]], dtype=float32)
    """

    of: Method = dataclasses.field(default_factory=GradCAM)
    alpha: float = 0.6
    classes: int = 3

    about: ClassVar[About] = About(
        "Zhang et al., CVPR 2025 (arXiv:2501.11309)",
        "that of the method it is given (Grad-CAM)",
        "fine-grained classes: what the bird has that its nearest relatives have not",
    )

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of the method inside."""
        return needs_of(self.of)

    @property
    def grid(self) -> str:
        """That of the method inside."""
        return getattr(self.of, "grid", "layer")

    def retarget(self, target: Any) -> Any:
        """The difference, in the place of a class."""
        from camjax import targets

        return targets.finer(target, self.alpha, self.classes)

    def __call__(self, **given: Any) -> CoarseMap:
        """The coarse map of one example and one target, by the method inside."""
        return self.of(**given)
