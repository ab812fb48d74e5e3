"""The laws of class-activation maps that depend on the method, and on the model only through its feature maps.

`CLAIMED` says for which methods which of them hold; the claims, and that no other holds in general, are tested.
"""

from __future__ import annotations

import numpy as np

from camjax.testing._law import law
from camjax.testing._setting import Counterexample, NotApplicable, Setting


@law
def linear(s: Setting) -> None:
    """raw(a S + b T) = a raw(S) + b raw(T): linear in the score.

    For what weighs A by the gradient itself: Grad-CAM, HiResCAM, XGrad-CAM, layer IG, ReciproCAM, not LayerCAM.
    """
    u, v = s.direction(), s.direction()
    want = 2 * s.raw(u) - 0.5 * s.raw(v)
    s.same(s.raw(2 * u - 0.5 * v), want, "raw(2 S - T/2) differs from 2 raw(S) - raw(T)/2")


@law
def shift(s: Setting) -> None:
    """raw(S + constant) = raw(S); for all methods but those that divide by the score, as Ablation-CAM."""
    u = s.direction()
    s.same(s.raw(u, 3), s.raw(u), "adding 3 to the score moves the map")


@law
def shifted_heatmap(s: Setting) -> None:
    """S + constant leaves the heatmap: raw is multiplied by a positive number. Ablation-CAM, which divides by |S|."""
    u = s.direction()
    hint = "adding 3 to the score moves the normalised map"
    s.same(_normal(s.raw(u, 3)), _normal(s.raw(u)), hint)


@law
def homogeneous(s: Setting) -> None:
    """raw(a S) = a raw(S) for a > 0; for gradient methods whose weights have no other scale, not Grad-CAM++."""
    u = s.direction()
    s.same(s.raw(4 * u), 4 * s.raw(u), "raw(4 S) differs from 4 raw(S)")


@law
def scaled_heatmap(s: Setting) -> None:
    """a S leaves the heatmap: raw is multiplied by a positive number, which need not be a.

    For methods that are homogeneous, that do not ask for the score (Eigen-CAM, FEM), or divide by it (Ablation-CAM).
    """
    u = s.direction()
    hint = "4 S has another normalised map than S"
    s.same(_normal(s.raw(4 * u)), _normal(s.raw(u)), hint)


@law
def odd(s: Setting) -> None:
    """raw(-S) = -raw(S): what speaks against a target is its map with the sign turned.

    For linear methods, EigenGrad-CAM and Ablation-CAM; not where a sign is dropped, as in LayerCAM.
    """
    u = s.direction()
    s.same(s.raw(-u), -s.raw(u), "raw(-S) differs from -raw(S)")


@law
def gauge(s: Setting) -> None:
    """A positive rescaling of each channel, which the head undoes, leaves the map.

    For methods in which A and its gradient meet channel by channel; not for Eigen-CAM, FEM or Score-CAM.
    """
    u, factors = s.direction(), s.random.uniform(0.25, 4, s.axes.channels)
    got = s.raw(u, forward=np.diag(factors), backward=np.diag(1 / factors))
    s.same(got, s.raw(u), "rescaling channels, undone by the head, moves the map")


@law
def mix(s: Setting) -> None:
    """Any invertible mix of the channels, which the head undoes, leaves the map.

    For methods that see A only through sums over all channels with the gradient: HiResCAM, Grad-CAM, ReciproCAM.
    """
    u = s.direction()
    # Orthogonal times a mild rescaling: far from the identity, and well conditioned.
    turned = np.linalg.qr(s.random.normal(size=(s.axes.channels,) * 2))[0]
    matrix = turned * s.random.uniform(0.5, 2, s.axes.channels)
    got = s.raw(u, forward=matrix, backward=np.linalg.inv(matrix))
    s.same(got, s.raw(u), "mixing channels, undone by the head, moves the map")


@law
def permutation(s: Setting) -> None:
    """The order of the channels does not matter; it does for Group-CAM and Random-CAM, and for ties in a top k."""
    u, order = s.direction(), s.random.permutation(s.axes.channels)
    matrix = np.eye(s.axes.channels)[order]
    got = s.raw(u, forward=matrix.T, backward=matrix)
    s.same(got, s.raw(u), "the order of the channels moves the map")


@law
def total(s: Setting) -> None:
    """The map sums to sum_k,p G A, the score's derivative along the feature maps.

    For HiResCAM and XGrad-CAM; behind an average and one matrix for Grad-CAM and its like too.
    """
    u = s.direction()
    A, G = s.gradients(u)
    space = tuple(range(1, 1 + len(s.axes.grid)))
    want = (A * G).reshape(s.batch, -1).sum(1)
    s.same(s.raw(u).sum(space), want, "the map does not sum to sum(G * A)", "example")


@law
def local(s: Setting) -> None:
    """Where the score does not read the feature maps, the map is zero.

    For what is computed position by position: HiResCAM, element-wise, LayerCAM, layer IG, ReciproCAM. Methods with
    one weight per channel fail: a channel that is read somewhere lights up everywhere.
    """
    u, read = s.direction(), s.random.random(s.axes.grid) < 0.5
    raw = s.raw(u, read=read.reshape(-1).astype(u.dtype))
    if raw.shape[1:] != read.shape:
        raise Counterexample(s, f"its maps have the shape {raw.shape[1:]}, not {read.shape}, the layer's.")
    s.same(raw, np.where(read, raw, 0), "the map is not zero where nothing is read")


@law
def dead(s: Setting) -> None:
    """A channel of zeros adds nothing, whatever the head would do with it."""
    u, k = s.direction(), s.random.integers(s.axes.channels)
    silent = np.eye(s.axes.channels)
    silent[k, k] = 0
    read = silent.copy()
    read[k] = s.random.normal(size=s.axes.channels)
    hint = f"channel {k}, which is zero everywhere, moves the map when the head has another weight for it"
    s.same(s.raw(u, forward=silent, backward=read), s.raw(u, forward=silent, backward=silent), hint)


@law
def common(s: Setting) -> None:
    """g(x) added to all class scores leaves the maps of log-probabilities and of contrasts of two classes.

    For methods that see no more of the model than the score. The maps of class scores do move: they are no statement
    about what tells classes apart. The model's outputs must be one array of at least two class scores.
    """
    u = s.direction()
    if u.size < 2:
        raise NotApplicable(f"model: the law 'common' compares classes, but the model has {u.size}; leave it out.")
    rows = np.eye(u.size, dtype=u.dtype)
    # The least likely class: the log-probability of a sure one is nothing but rounding.
    mean = [float(np.mean(s.at(row).score)) for row in rows]
    a = int(np.argmin(mean)) if s.only is None else s.only
    b = max((c for c in range(u.size) if c != a), key=lambda c: mean[c])
    g = s.random.normal(size=s.axes.channels) / np.prod(s.axes.grid)
    for name, direction, log in (("log-probability", rows[a], 1.0), ("contrast", rows[a] - rows[b], 0.0)):
        hint = f"adding one function of x to all class scores moves the map of a {name}"
        s.same(s.raw(direction, log=log, common=g), s.raw(direction, log=log), hint)


def _normal(raw: np.ndarray) -> np.ndarray:
    # Each map in -1..1: what its heatmap depends on, signs included.
    top = np.abs(raw).reshape(len(raw), -1).max(1).reshape(-1, *[1] * (raw.ndim - 1))
    return raw / np.where(top > 0, top, 1)
