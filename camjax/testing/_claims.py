"""Which laws hold for which method, for any model: the table, as the tests check it."""

from __future__ import annotations

from camjax import methods
from camjax.methods import Method
from camjax.testing._law import Law
from camjax.testing._laws import (
    common,
    dead,
    gauge,
    homogeneous,
    linear,
    local,
    mix,
    odd,
    permutation,
    scaled_heatmap,
    shift,
    shifted_heatmap,
    total,
)
from camjax.testing._structured import flipped, pooled_total, spatial, sums_to_score

_LINEAR = (linear, shift, homogeneous, odd)
_ANY = (shift, permutation, dead, common)  # what nearly all methods satisfy
_AGNOSTIC = (shift, scaled_heatmap, permutation, dead, common)  # the score is not asked for
_UNPLANTED = (gauge, mix, permutation, dead, common)  # the layer is not looked at
_GRADCAM = (*_LINEAR, gauge, mix, permutation, dead, common)

CLAIMED: dict[type, tuple[Law, ...]] = {
    methods.CAM: (
        *_LINEAR,
        gauge,
        mix,
        permutation,
        dead,
    ),  # refuses log-probabilities, and so says nothing of `common`
    methods.GradCAM: _GRADCAM,
    methods.HiResCAM: (*_GRADCAM, total, local),
    methods.ElementwiseGradCAM: (homogeneous, gauge, local, *_ANY),
    methods.LayerCAM: (homogeneous, gauge, local, *_ANY),
    methods.GradCAMPlusPlus: (gauge, *_ANY),
    methods.SmoothGradCAMPlusPlus: (gauge, *_ANY),
    methods.XGradCAM: (*_LINEAR, gauge, permutation, total, dead, common),
    methods.ShapleyCAM: _GRADCAM,
    methods.LayerIntegratedGradients: (*_GRADCAM, local),
    # DeepLIFT's rule for a maximum, which is in a log-probability, is not one of differences: g(x) does not cancel.
    methods.LiftCAM: (*_LINEAR, permutation, dead),
    methods.FinerCAM: _GRADCAM,
    methods.RefineCAM: (gauge, *_ANY),
    methods.CAMERAS: _LINEAR,  # it is traced anew at other sizes: no change of one layer reaches it
    methods.FullGrad: (shift, scaled_heatmap),  # laws about one layer's feature maps say nothing about it
    methods.ODAM: (*_GRADCAM, total, local),
    methods.EigenCAM: _AGNOSTIC,
    methods.EigenGradCAM: (homogeneous, odd, gauge, *_ANY),
    methods.KPCACAM: _AGNOSTIC,
    methods.Principal: (homogeneous, odd, gauge, *_ANY),
    methods.FEM: _AGNOSTIC,
    methods.ScoreCAM: _ANY,
    methods.FasterScoreCAM: _ANY,
    methods.SSCAM: _ANY,
    methods.ISCAM: _ANY,
    methods.GroupCAM: (shift, scaled_heatmap, gauge, dead, common),
    methods.AblationCAM: (shifted_heatmap, scaled_heatmap, odd, permutation, dead, common),
    methods.ReciproCAM: (*_GRADCAM, local),
    methods.OptiCAM: _ANY,
    methods.RISE: (shift, scaled_heatmap, *_UNPLANTED),
    methods.Occlusion: (*_LINEAR, *_UNPLANTED),
    methods.RandomCAM: (shift, scaled_heatmap, dead, common),
    methods.MeanActivation: _AGNOSTIC,
    methods.CenteredGaussian: (shift, scaled_heatmap, *_UNPLANTED),
    # Token methods read attention from the whole model's trace.
    methods.LeGrad: (shift, homogeneous),
    methods.GAE: (shift,),
    methods.GradECLIP: _LINEAR,
    methods.AttentionRollout: (shift, scaled_heatmap),
}
"""For each method, those of `LAWS` that hold; that no other does in general is tested as well."""

IMPLIED: dict[Law, Law] = {homogeneous: scaled_heatmap, shift: shifted_heatmap}
"""What holds with another law, and is not claimed beside it."""

_OF_MAPS = (  # of the feature maps and the head alone
    methods.CAM,
    methods.GradCAM,
    methods.HiResCAM,
    methods.ElementwiseGradCAM,
    methods.LayerCAM,
    methods.GradCAMPlusPlus,
    methods.XGradCAM,
    methods.ShapleyCAM,
    methods.LayerIntegratedGradients,
    methods.LiftCAM,
    methods.FinerCAM,
    methods.ODAM,
    methods.EigenCAM,
    methods.EigenGradCAM,
    methods.KPCACAM,
    methods.Principal,
    methods.FEM,
    methods.AblationCAM,
    methods.ReciproCAM,
    methods.RandomCAM,
    methods.MeanActivation,
)
_OF_INPUTS = (  # of the whole model, without noise in space
    methods.CAMERAS,
    methods.RefineCAM,
    methods.FullGrad,
    methods.ScoreCAM,
    methods.FasterScoreCAM,
    methods.ISCAM,
    methods.GroupCAM,
    methods.OptiCAM,
    methods.Occlusion,
    methods.CenteredGaussian,
)

CLAIMED_WHERE: dict[Law, tuple[type, ...]] = {
    pooled_total: (methods.GradCAM, methods.ShapleyCAM, methods.LayerIntegratedGradients, methods.ReciproCAM),
    sums_to_score: (methods.HiResCAM, methods.XGradCAM, methods.ODAM),
    spatial: _OF_MAPS,
    flipped: (*_OF_MAPS, *_OF_INPUTS),
}
"""For laws about models of a certain structure, the methods for which they hold there."""


def claimed(method: Method) -> tuple[Law, ...]:
    """The laws that are claimed for a method as it is made: those of a method inside count.

    >>> from camjax import methods
    >>> [law.__name__ for law in claimed(methods.FinerCAM(of=methods.EigenCAM()))]
    ['shift', 'scaled_heatmap', 'permutation', 'dead', 'common']
    """
    laws = CLAIMED.get(type(method), ())
    if isinstance(method, methods.FinerCAM):
        return claimed(method.of)
    if isinstance(method, methods.Principal | methods.RefineCAM):
        return tuple(law for law in laws if law in claimed(method.of))
    return laws
