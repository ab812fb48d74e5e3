"""The methods: short pure functions from feature maps and gradients to a coarse map."""

from camjax.methods._contract import NEEDS as NEEDS
from camjax.methods._contract import About as About
from camjax.methods._contract import CoarseMap as CoarseMap
from camjax.methods._contract import Method as Method
from camjax.methods.cam import CAM as CAM
from camjax.methods.elementwise import ElementwiseGradCAM as ElementwiseGradCAM
from camjax.methods.finercam import FinerCAM as FinerCAM
from camjax.methods.fullgrad import FullGrad as FullGrad
from camjax.methods.gradcam import GradCAM as GradCAM
from camjax.methods.gradcampp import GradCAMPlusPlus as GradCAMPlusPlus
from camjax.methods.hirescam import HiResCAM as HiResCAM
from camjax.methods.layercam import LayerCAM as LayerCAM
from camjax.methods.layerig import LayerIntegratedGradients as LayerIntegratedGradients
from camjax.methods.lift import LiftCAM as LiftCAM
from camjax.methods.odam import ODAM as ODAM
from camjax.methods.refinecam import RefineCAM as RefineCAM
from camjax.methods.shapleycam import ShapleyCAM as ShapleyCAM
from camjax.methods.smoothgradcampp import SmoothGradCAMPlusPlus as SmoothGradCAMPlusPlus
from camjax.methods.xgradcam import XGradCAM as XGradCAM

METHODS: dict[str, type] = {
    "cam": CAM,
    "gradcam": GradCAM,
    "hirescam": HiResCAM,
    "elementwise": ElementwiseGradCAM,
    "layercam": LayerCAM,
    "gradcam++": GradCAMPlusPlus,
    "smoothgradcam++": SmoothGradCAMPlusPlus,
    "xgradcam": XGradCAM,
    "shapleycam": ShapleyCAM,
    "layerig": LayerIntegratedGradients,
    "liftcam": LiftCAM,
    "finercam": FinerCAM,
    "refinecam": RefineCAM,
    "fullgrad": FullGrad,
    "odam": ODAM,
}
"""Every method by its short name, made with its defaults by calling it."""
