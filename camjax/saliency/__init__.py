"""Attributions in input space: the gradient and its companions, for `camjax.attribute`.

Where a class-activation map says in which region the evidence lies, these say how each number of the input changes
the score: fine in detail, and with a sign. All are statistics of gradients at points around an example, so a method
is a few lines; `Saliency` is the contract for your own.
"""

from camjax.saliency._attribute import attribute as attribute
from camjax.saliency._contract import Attribution as Attribution
from camjax.saliency._contract import Saliency as Saliency
from camjax.saliency._gradient import DeconvNet as DeconvNet
from camjax.saliency._gradient import Gradient as Gradient
from camjax.saliency._gradient import GuidedBackprop as GuidedBackprop
from camjax.saliency._guided import guided_gradcam as guided_gradcam
from camjax.saliency._noise import SmoothGrad as SmoothGrad
from camjax.saliency._noise import VarGrad as VarGrad
from camjax.saliency._path import IntegratedGradients as IntegratedGradients

METHODS: dict[str, type[Saliency]] = {
    "gradient": Gradient,
    "smoothgrad": SmoothGrad,
    "vargrad": VarGrad,
    "integratedgradients": IntegratedGradients,
    "guidedbackprop": GuidedBackprop,
    "deconvnet": DeconvNet,
}
"""Every method by its short name, made with its defaults by calling it."""
