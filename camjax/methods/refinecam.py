"""RefineCAM: the product of the maps of several layers, coarse to fine."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from camjax.fusion import Fusion, product
from camjax.methods._contract import About, CoarseMap, Method, needs_of
from camjax.methods.gradcampp import GradCAMPlusPlus


@dataclasses.dataclass(frozen=True)
class RefineCAM:
    """RefineCAM: at each position the product of the layers' maps, each brought to 0..1.

        raw = prod_l U(relu(M_l) / max M_l)

    with M_l the map of layer l by another method, and U the upsampling to the finest of them. Without `layer=`, these
    are the last layers of the last four resolutions (`camjax.explain(layer="stages")`). One forward and one backward
    pass serve all layers.

    Args:
        of: the method at each layer.

    >>> import camjax
    >>> model, x = camjax.testbed.model(), camjax.testbed.preprocess(camjax.testbed.scenes(0, 1).images)
    >>> camjax.explain(model, x, method=RefineCAM()).raw.shape
    (1, 32, 32)
    """

    of: Method = dataclasses.field(default_factory=GradCAMPlusPlus)

    fusion: ClassVar[Fusion] = staticmethod(product)
    about: ClassVar[About] = About(
        "RefineCAM: fused layers, base Grad-CAM++ (Chattopadhay et al., WACV 2018)",
        "1 forward; 1 backward from the first layer",
        "sharp outlines: what the last layer saw, where the early ones have edges",
    )

    @property
    def needs(self) -> tuple[str, ...]:
        """Those of the method inside."""
        return needs_of(self.of)

    def __call__(self, **given: Any) -> CoarseMap:
        """The coarse map of one layer, by the method inside."""
        return self.of(**given)
