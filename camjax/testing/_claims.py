"""Which laws hold for which method, for any model: the table, as the tests check it."""

from __future__ import annotations

from collections.abc import Callable

from camjax.methods import FullGrad, GradCAM, HiResCAM, LayerCAM, LiftCAM
from camjax.testing._laws import gauge, homogeneous, linear, local, mix, odd, permutation, shift, total

CLAIMED: dict[type, tuple[Callable[..., None], ...]] = {
    GradCAM: (linear, shift, homogeneous, odd, gauge, mix, permutation),
    HiResCAM: (linear, shift, homogeneous, odd, gauge, mix, permutation, total, local),
    LayerCAM: (shift, homogeneous, gauge, permutation, local),
    LiftCAM: (linear, shift, homogeneous, odd, permutation),
    FullGrad: (shift, gauge, mix, permutation),  # the last three because it looks at the model, not at a layer
}
"""For each method, those of `LAWS` that hold; that no other does in general is tested as well."""
