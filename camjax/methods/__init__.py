"""The methods: short pure functions from feature maps and gradients to a coarse map."""

from camjax.methods._attention import Attention as Attention
from camjax.methods._contract import NEEDS as NEEDS
from camjax.methods._contract import About as About
from camjax.methods._contract import CoarseMap as CoarseMap
from camjax.methods._contract import Method as Method
from camjax.methods.ablationcam import AblationCAM as AblationCAM
from camjax.methods.blackbox import RISE as RISE
from camjax.methods.blackbox import Occlusion as Occlusion
from camjax.methods.cam import CAM as CAM
from camjax.methods.cameras import CAMERAS as CAMERAS
from camjax.methods.controls import CenteredGaussian as CenteredGaussian
from camjax.methods.controls import MeanActivation as MeanActivation
from camjax.methods.controls import RandomCAM as RandomCAM
from camjax.methods.eigencam import KPCACAM as KPCACAM
from camjax.methods.eigencam import EigenCAM as EigenCAM
from camjax.methods.eigencam import EigenGradCAM as EigenGradCAM
from camjax.methods.elementwise import ElementwiseGradCAM as ElementwiseGradCAM
from camjax.methods.fem import FEM as FEM
from camjax.methods.finercam import FinerCAM as FinerCAM
from camjax.methods.fullgrad import FullGrad as FullGrad
from camjax.methods.gae import GAE as GAE
from camjax.methods.gradcam import GradCAM as GradCAM
from camjax.methods.gradcampp import GradCAMPlusPlus as GradCAMPlusPlus
from camjax.methods.gradeclip import GradECLIP as GradECLIP
from camjax.methods.groupcam import GroupCAM as GroupCAM
from camjax.methods.hirescam import HiResCAM as HiResCAM
from camjax.methods.layercam import LayerCAM as LayerCAM
from camjax.methods.layerig import LayerIntegratedGradients as LayerIntegratedGradients
from camjax.methods.legrad import LeGrad as LeGrad
from camjax.methods.lift import LiftCAM as LiftCAM
from camjax.methods.odam import ODAM as ODAM
from camjax.methods.opticam import OptiCAM as OptiCAM
from camjax.methods.principal import Principal as Principal
from camjax.methods.reciprocam import ReciproCAM as ReciproCAM
from camjax.methods.refinecam import RefineCAM as RefineCAM
from camjax.methods.rollout import AttentionRollout as AttentionRollout
from camjax.methods.scorecam import FasterScoreCAM as FasterScoreCAM
from camjax.methods.scorecam import ScoreCAM as ScoreCAM
from camjax.methods.shapleycam import ShapleyCAM as ShapleyCAM
from camjax.methods.smoothgradcampp import SmoothGradCAMPlusPlus as SmoothGradCAMPlusPlus
from camjax.methods.sscam import ISCAM as ISCAM
from camjax.methods.sscam import SSCAM as SSCAM
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
    "cameras": CAMERAS,
    "finercam": FinerCAM,
    "refinecam": RefineCAM,
    "fullgrad": FullGrad,
    "odam": ODAM,
    "eigencam": EigenCAM,
    "eigengradcam": EigenGradCAM,
    "kpcacam": KPCACAM,
    "principal": Principal,
    "fem": FEM,
    "scorecam": ScoreCAM,
    "fasterscorecam": FasterScoreCAM,
    "sscam": SSCAM,
    "iscam": ISCAM,
    "groupcam": GroupCAM,
    "ablationcam": AblationCAM,
    "reciprocam": ReciproCAM,
    "opticam": OptiCAM,
    "legrad": LeGrad,
    "gae": GAE,
    "gradeclip": GradECLIP,
    "attentionrollout": AttentionRollout,
    "rise": RISE,
    "occlusion": Occlusion,
    "randomcam": RandomCAM,
    "meanactivation": MeanActivation,
    "centeredgaussian": CenteredGaussian,
}
"""Every method by its short name, made with its defaults by calling it."""
