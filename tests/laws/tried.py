"""Every method as the laws try it: cheap, and on a network on which it is defined."""

import contextlib

import jax
import numpy as np

import camjax
from camjax import methods, testing
from camjax.methods._contract import needs_of

CHEAP = {
    "cameras": methods.CAMERAS((1.0, 1.5)),
    "smoothgradcam++": methods.SmoothGradCAMPlusPlus(samples=2),
    "layerig": methods.LayerIntegratedGradients(steps=4),
    "fasterscorecam": methods.FasterScoreCAM(channels=3),
    "finercam": methods.FinerCAM(classes=2),
    "sscam": methods.SSCAM(samples=2),
    "iscam": methods.ISCAM(samples=2),
    "groupcam": methods.GroupCAM(groups=2, blur=(3, 1.0)),
    "opticam": methods.OptiCAM(steps=3),
    "rise": methods.RISE(samples=8, cells=2),
    "occlusion": methods.Occlusion(patch=2, stride=1),
}
"""Fewer samples, the same formula."""

TRIED = {name: CHEAP.get(name) or kind() for name, kind in methods.METHODS.items()}

KIND = {"cam": "pooled", "cameras": "pooled"}
"""CAM is for a linear head, CAMERAS for networks that take any size."""


def kind_of(name):
    """The kind of network that a method is tried on, unless another is asked for."""
    of_attention = "attention" in needs_of(TRIED[name])
    return "transformer" if of_attention else KIND.get(name, "dense")


def network(kind, seed=0):
    return testing.tiny_network(kind, seed)


def noise(batch=1, seed=0):
    return np.random.default_rng(seed).normal(size=(batch, 4, 4, 3))


@contextlib.contextmanager
def quickly(float64=True):
    """Float64, and programs that are compiled in less time: they run once or twice."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        with jax.enable_x64(float64):
            yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)


def setting(name, kind=None, seed=0, batch=1, method=None):
    """The arguments of a law for a method."""
    model, x = network(kind or kind_of(name), seed), noise(batch, seed)
    return (model, x), {"method": method or TRIED[name], "layer": camjax.split(model, x), "seed": seed}
