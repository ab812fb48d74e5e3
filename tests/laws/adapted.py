"""The laws on the models that adapters make.

An adapter gives a method what it needs; what a method makes of that is tried on hand-written networks. So here each
need is tried by one method: gradients (HiResCAM), derivatives of them (ShapleyCAM), the head's multipliers (LIFT-CAM),
the biases of the whole trace (FullGrad), the model seen through masks (Score-CAM) and with noise (Smooth Grad-CAM++).
"""

import numpy as np

import camjax
from camjax import testing
from tests.laws.tried import TRIED, quickly

COVER = ("hirescam", "shapleycam", "liftcam", "fullgrad", "scorecam", "smoothgradcam++")


def pictures(channels_first=False):
    x = np.random.default_rng(3).normal(size=(2, 4, 4, 3)).astype(np.float32)
    return x.transpose(0, 3, 1, 2) if channels_first else x


def hold(model, x, name, layer=None):
    """What is claimed for a method holds on a network that ends in an average and one matrix."""
    method = TRIED[name]
    with quickly(float64=False):
        options = {"method": method, "layer": camjax.split(model, x, layer)}
        for law in testing.claimed(method):
            law(model, x, **options)
        for law in (testing.pooled_total, testing.spatial):
            if type(method) in testing.CLAIMED_WHERE[law]:
                law(model, x, **options)
        if method in testing.CLOSED:
            testing.pooled(model, x, **options)
