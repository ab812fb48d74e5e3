"""The methods: short pure functions from feature maps and gradients to a coarse map."""

from camjax.methods._contract import NEEDS as NEEDS
from camjax.methods._contract import CoarseMap as CoarseMap
from camjax.methods._contract import Method as Method
from camjax.methods.gradcam import GradCAM as GradCAM
from camjax.methods.hirescam import HiResCAM as HiResCAM
from camjax.methods.layercam import LayerCAM as LayerCAM

METHODS = {"gradcam": GradCAM, "hirescam": HiResCAM, "layercam": LayerCAM}
"""Every method by its short name, made with its defaults by calling it."""
