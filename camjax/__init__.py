"""camjax: class-activation maps for any JAX function.

This is the table of contents: every public name, and the file it lives in. A name is imported when it
is first used, because importing jax takes a second that `camjax --help` should not wait for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:  # what type checkers and editors read; a test holds it equal to the table below
    from camjax import dataset as dataset
    from camjax import fusion as fusion
    from camjax import images as images
    from camjax import methods as methods
    from camjax import neurons as neurons
    from camjax import plot as plot
    from camjax import saliency as saliency
    from camjax import targets as targets
    from camjax import testbed as testbed
    from camjax import testing as testing
    from camjax._axes import Axes as Axes
    from camjax._explain import explain as explain
    from camjax._explainer import explainer as explainer
    from camjax._explanation import Explanation as Explanation
    from camjax._explanation import Status as Status
    from camjax._export import export as export
    from camjax._export import load_exported as load_exported
    from camjax._factorise import Factorisation as Factorisation
    from camjax._factorise import factorise as factorise
    from camjax._failures import Failures as Failures
    from camjax._failures import failures as failures
    from camjax._layers import layers as layers
    from camjax._layers import split as split
    from camjax._model import Model as Model
    from camjax._model import Preprocess as Preprocess
    from camjax._postprocess import heatmap as heatmap
    from camjax._smoothing import Smoothing as Smoothing
    from camjax._split import Split as Split
    from camjax.methods import CAM as CAM
    from camjax.methods import CAMERAS as CAMERAS
    from camjax.methods import FEM as FEM
    from camjax.methods import GAE as GAE
    from camjax.methods import ISCAM as ISCAM
    from camjax.methods import KPCACAM as KPCACAM
    from camjax.methods import ODAM as ODAM
    from camjax.methods import RISE as RISE
    from camjax.methods import SSCAM as SSCAM
    from camjax.methods import AblationCAM as AblationCAM
    from camjax.methods import AttentionRollout as AttentionRollout
    from camjax.methods import CenteredGaussian as CenteredGaussian
    from camjax.methods import CoarseMap as CoarseMap
    from camjax.methods import EigenCAM as EigenCAM
    from camjax.methods import EigenGradCAM as EigenGradCAM
    from camjax.methods import ElementwiseGradCAM as ElementwiseGradCAM
    from camjax.methods import FasterScoreCAM as FasterScoreCAM
    from camjax.methods import FinerCAM as FinerCAM
    from camjax.methods import FullGrad as FullGrad
    from camjax.methods import GradCAM as GradCAM
    from camjax.methods import GradCAMPlusPlus as GradCAMPlusPlus
    from camjax.methods import GradECLIP as GradECLIP
    from camjax.methods import GroupCAM as GroupCAM
    from camjax.methods import HiResCAM as HiResCAM
    from camjax.methods import LayerCAM as LayerCAM
    from camjax.methods import LayerIntegratedGradients as LayerIntegratedGradients
    from camjax.methods import LeGrad as LeGrad
    from camjax.methods import LiftCAM as LiftCAM
    from camjax.methods import MeanActivation as MeanActivation
    from camjax.methods import Occlusion as Occlusion
    from camjax.methods import OptiCAM as OptiCAM
    from camjax.methods import Principal as Principal
    from camjax.methods import RandomCAM as RandomCAM
    from camjax.methods import ReciproCAM as ReciproCAM
    from camjax.methods import RefineCAM as RefineCAM
    from camjax.methods import ScoreCAM as ScoreCAM
    from camjax.methods import ShapleyCAM as ShapleyCAM
    from camjax.methods import SmoothGradCAMPlusPlus as SmoothGradCAMPlusPlus
    from camjax.methods import XGradCAM as XGradCAM
    from camjax.saliency import Attribution as Attribution
    from camjax.saliency import attribute as attribute
    from camjax.saliency import guided_gradcam as guided_gradcam
    from camjax.trace import Layer as Layer
    from camjax.trace import Layers as Layers

_CONTENTS = {
    # modules that are public as they are
    "camjax": (
        "dataset",
        "fusion",
        "images",
        "methods",
        "neurons",
        "plot",
        "saliency",
        "targets",
        "testbed",
        "testing",
    ),
    "camjax._axes": ("Axes",),
    "camjax._explain": ("explain",),
    "camjax._explainer": ("explainer",),
    "camjax._explanation": ("Explanation", "Status"),
    "camjax._export": ("export", "load_exported"),
    "camjax._factorise": ("Factorisation", "factorise"),
    "camjax._failures": ("Failures", "failures"),
    "camjax._layers": ("layers", "split"),
    "camjax._model": ("Model", "Preprocess"),
    "camjax._postprocess": ("heatmap",),
    "camjax._smoothing": ("Smoothing",),
    "camjax._split": ("Split",),
    "camjax.methods": (
        "AblationCAM",
        "AttentionRollout",
        "CAM",
        "CAMERAS",
        "CenteredGaussian",
        "CoarseMap",
        "EigenCAM",
        "EigenGradCAM",
        "ElementwiseGradCAM",
        "FEM",
        "FasterScoreCAM",
        "FinerCAM",
        "FullGrad",
        "GAE",
        "GradCAM",
        "GradCAMPlusPlus",
        "GradECLIP",
        "GroupCAM",
        "HiResCAM",
        "ISCAM",
        "KPCACAM",
        "LayerCAM",
        "LayerIntegratedGradients",
        "LeGrad",
        "LiftCAM",
        "MeanActivation",
        "ODAM",
        "Occlusion",
        "OptiCAM",
        "Principal",
        "RISE",
        "RandomCAM",
        "ReciproCAM",
        "RefineCAM",
        "SSCAM",
        "ScoreCAM",
        "ShapleyCAM",
        "SmoothGradCAMPlusPlus",
        "XGradCAM",
    ),
    "camjax.saliency": ("Attribution", "attribute", "guided_gradcam"),
    "camjax.trace": ("Layer", "Layers"),
}
_HOME = {name: module for module, names in _CONTENTS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'camjax' has no attribute {name!r}")
    if _HOME[name] == "camjax":
        return importlib.import_module(f"camjax.{name}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
