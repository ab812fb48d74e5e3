"""CAMERAS (Jalwana et al., CVPR 2021, arXiv:2106.10649)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from camjax.methods._contract import About, CoarseMap
from camjax.methods._evaluate import mean_of

if TYPE_CHECKING:
    from jaxtyping import Array, Float

SCALES = tuple(size / 224 for size in range(224, 1000, 100))


@dataclasses.dataclass(frozen=True)
class CAMERAS:
    """CAMERAS: gradient times activation, each a mean over sizes of the input.

        A' = mean_s U(A_s),    G' = mean_s U(dS/dA_s),    raw = sum_k A'_k * G'_k

    with A_s the feature maps of the input at s times its size (bicubic), and U the bilinear upsampling to the input's
    own size, which is that of the map. A larger input has larger feature maps, so the map is finer than the layer's
    grid. The target is that of the input at its own size. With `scales=(1.0,)` it is HiResCAM of the upsampled maps.

    The model is traced once for each size. So it must take any size (as networks do that end in an average over
    space), and the layer must be one that camjax finds: a hand-written `camjax.Split` is for one size, and so is what
    `camjax_torch.from_torch` returns (`from_exported` takes a program of `torch.export` with free height and width).

    Cost: a forward pass at each scale, whose area is what it costs: the defaults, 224 to 924 pixels in steps of 100
    where the input has 224, cost as much as 62 passes at the input's size. Memory: that of the largest pass, for the
    whole batch (`chunk` examples at a time, where there are more); the maps at the input's size are summed over
    `chunk` channels at a time. No channel weights.

    Args:
        scales: the sizes of the input, as multiples of its own.

    Raises:
        ValueError: when there are no scales, or one is not positive; for a model or a split of one size.

    >>> import camjax
    >>> model, x = camjax.testbed.model(), camjax.testbed.preprocess(camjax.testbed.scenes(0, 1).images)
    >>> camjax.explain(model, x, method=CAMERAS((1.0, 1.5))).raw.shape
    (1, 64, 64)
    """

    scales: tuple[float, ...] = SCALES

    grid: ClassVar[str] = "input"
    about: ClassVar[About] = About(
        "Jalwana et al., CVPR 2021 (arXiv:2106.10649)",
        "1 forward and 1 backward of the head at each of 8 sizes up to 4 times the input's: as much as 62 forward",
        "maps finer than the layer, for networks that take any size",
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales", tuple(float(scale) for scale in self.scales))
        if not self.scales or any(not 0 < scale < float("inf") for scale in self.scales):
            raise ValueError(
                f"CAMERAS: scales={self.scales}, expected positive numbers, multiples of the input's size such as "
                "(1.0, 1.5, 2.0)."
            )

    def __call__(
        self,
        *,
        activations: Float[Array, "*space C"],
        gradients: Float[Array, "*space C"],
        scaled: Callable[[float], tuple[Any, Any]],
        upsample: Callable[[Any], Any],
        chunk: int,
    ) -> CoarseMap:
        """The map of one example and one target; the class has the equations."""
        pairs = [(activations, gradients) if scale == 1 else scaled(scale) for scale in self.scales]

        def of_channel(k: Any) -> Any:
            A, G = (sum(upsample(maps[..., k]) for maps in side) / len(pairs) for side in zip(*pairs, strict=True))
            return A * G

        channels = activations.shape[-1]
        return CoarseMap(channels * mean_of(of_channel, channels, chunk))
