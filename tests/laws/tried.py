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

HEADS = {kind: testing.tiny_network(kind).apply for kind in ("pooled", "dense", "plain")}


def any_head(params, x):
    """The network whose head is data: one program for each method, whatever the head."""
    A, rest = HEADS["pooled"].features(params["pooled"], x)
    return sum(params["share"][i] * head.head(params[kind], A, rest) for i, (kind, head) in enumerate(HEADS.items()))


def network(kind, seed=0):
    """A network of a kind, as `camjax.testing.tiny_network` makes it; those of `HEADS` in one program."""
    if kind not in HEADS:
        return testing.tiny_network(kind.removesuffix(" alone"), seed)
    weights = {one: testing.tiny_network(one, seed).params for one in HEADS}
    return camjax.Model(any_head, {**weights, "share": np.array([float(one == kind) for one in HEADS])})


KIND = {"cam": "pooled", "cameras": "pooled alone"}
"""CAM is for a linear head, CAMERAS for networks that take any size."""


def kind_of(name):
    """The kind of network that a method is tried on, unless another is asked for."""
    of_attention = "attention" in needs_of(TRIED[name])
    return "transformer" if of_attention else KIND.get(name, "dense")


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
    kind = kind or kind_of(name)
    model, x = network(kind, seed), noise(batch, seed)
    layer = camjax.split(model, x, None if kind == "transformer" else "conv")
    return (model, x), {"method": method or TRIED[name], "layer": layer, "seed": seed}
