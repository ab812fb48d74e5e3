"""Laws about models of a certain structure: they check it, and raise `NotApplicable` where it is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from camjax import methods
from camjax._example import space_dims
from camjax._model import Model
from camjax.methods import Method
from camjax.methods._contract import describe
from camjax.testing._law import law
from camjax.testing._setting import Counterexample, NotApplicable, Setting


@law
def pooled(s: Setting) -> None:
    """Behind an average over space and one matrix W, many methods are one: the map is what `CLOSED` writes down.

    HiResCAM, ODAM, XGrad-CAM, ShapleyCAM, layer IG, ReciproCAM and Grad-CAM are sum_k W_k A_k / Z, CAM is Z times that.
    LIFT-CAM and Ablation-CAM (undivided) have the weights W_k mean A_k, Grad-CAM++ relu(W) / (2 + mean(A) relu(W)).

    Raises:
        NotApplicable: when the head is not an average and one matrix, or the method has no closed form there.
    """
    if s.method not in CLOSED:
        known = ", ".join(sorted(map(repr, CLOSED)))
        name = describe(s.method)
        raise NotApplicable(f"method: the law 'pooled' has no closed form for {name}; it has for {known}.")
    u = s.direction()
    A, W = _average_and_matrix(s, u)
    got = s.at(u)
    weights = CLOSED[s.method](W, A.mean(1), A.shape[1], np.asarray(got.score))
    want = (A @ weights[..., None])[..., 0].reshape(got.raw.shape)
    s.same(got.raw, want, "the map is not the closed form for an average and one matrix")


Closed = Callable[[np.ndarray, np.ndarray, int, np.ndarray], np.ndarray]


def _gradcam(W: np.ndarray, mean: np.ndarray, places: int, score: np.ndarray) -> np.ndarray:
    return np.broadcast_to(W / places, mean.shape)


def _plusplus(W: np.ndarray, mean: np.ndarray, places: int, score: np.ndarray) -> np.ndarray:
    positive = np.maximum(W, 0)
    return positive / (2 + np.maximum(mean, 0) * positive)


CLOSED: dict[Method, Closed] = {
    **dict.fromkeys(
        (
            methods.GradCAM(),
            methods.HiResCAM(),
            methods.XGradCAM(),
            methods.ShapleyCAM(),
            methods.LayerIntegratedGradients(),
            methods.ReciproCAM(),
            methods.ODAM(),
        ),
        _gradcam,
    ),
    methods.CAM(): lambda W, mean, places, score: np.broadcast_to(W, mean.shape),
    methods.LiftCAM(): lambda W, mean, places, score: W * mean,
    methods.AblationCAM(divide=False): lambda W, mean, places, score: W * mean,
    methods.AblationCAM(): lambda W, mean, places, score: W * mean / np.abs(score)[:, None],
    methods.GradCAMPlusPlus(): _plusplus,
}
"""For a score sum_k W_k mean(A_k) + b, the channel weights of each method from W, mean(A), the positions Z, and S."""


@law
def pooled_total(s: Setting) -> None:
    """Behind an average over space and one matrix, the maps of Grad-CAM and its like sum to sum G A, as HiResCAM's do.

    Raises:
        NotApplicable: when the head is not an average and one matrix.
    """
    u = s.direction()
    A, W = _average_and_matrix(s, u)
    want = (A.mean(1) @ W[:, None])[:, 0]
    s.same(s.raw(u).reshape(s.batch, -1).sum(1), want, "the map does not sum to sum(G * A)", "example")


@law
def sums_to_score(s: Setting) -> None:
    """Behind a head of ReLUs and matrices without biases, a map that sums to sum G A sums to the score: HiResCAM.

    Raises:
        NotApplicable: when doubled feature maps do not double the score.
    """
    u = s.direction()
    got, twice = s.at(u), s.at(u, backward=2 * np.eye(s.axes.channels))
    s.unless(twice.score, 2 * got.score, "heads for which doubled feature maps double the score")
    total = np.asarray(got.raw).reshape(s.batch, -1).sum(1)
    s.same(total, got.score, "the map does not sum to the score", "example")


@law
def spatial(s: Setting) -> None:
    """Behind a head that does not know positions apart, the map of permuted feature maps is the map, permuted.

    For methods of the feature maps and the head; not for those that mask or change the input.

    Raises:
        NotApplicable: when permuting the positions moves the score.
    """
    u, order = s.direction(), s.random.permutation(int(np.prod(s.axes.grid)))
    got, want = s.at(u, order=order), s.at(u)
    s.unless(got.score, want.score, "heads that do not know positions apart, such as an average")
    if want.raw.shape[1:] != s.axes.grid:
        raise Counterexample(s, f"its maps have the shape {want.raw.shape[1:]}, not {s.axes.grid}, the layer's.")
    moved = np.asarray(want.raw).reshape(s.batch, -1)[:, order].reshape(want.raw.shape)
    s.same(got.raw, moved, "the map of permuted feature maps is not the permuted map")


@law
def flipped(s: Setting) -> None:
    """The map of a mirrored input is the mirrored map, for a network that is symmetric under flips itself.

    Raises:
        NotApplicable: when the feature maps or the score of the mirrored input are others: kernels without symmetry,
            strides, positions told apart.
    """
    u = s.direction()
    leaves, tree = jax.tree.flatten(s.x)
    leaf = s.axes.leaf
    dims = space_dims(s.axes, jax.tree.map(lambda a: a[0], s.x))
    A, _ = s.gradients(u)
    want = s.at(u)
    for axis, dim in enumerate(dims):
        turned = tree.unflatten([*leaves[:leaf], jnp.flip(leaves[leaf], dim + 1), *leaves[leaf + 1 :]])
        got = s.at(u, x=turned)
        mirrored = s.but(x=turned).gradients(u)[0]
        asks = f"networks that are symmetric under flips of space axis {axis}"
        s.unless(mirrored, np.flip(A, axis + 1), asks)
        s.unless(got.score, want.score, asks)
        hint = f"the map of an input mirrored along space axis {axis} is not the mirrored map"
        s.same(got.raw, np.flip(want.raw, axis + 1), hint)


@law
def precision(s: Setting) -> None:
    """float32 and float64 give the same map, to 1e-3 of its largest value, with the target fixed and ties left out.

    Raises:
        NotApplicable: when the model is not in float64, which jax has only with `jax.enable_x64()`.
    """
    u = s.direction()
    if u.dtype != np.float64:
        raise NotApplicable(
            f"model: the law 'precision' starts from a model in float64, got {u.dtype}; cast its parameters and x "
            "within jax.enable_x64()."
        )
    narrow = Model(s.model.apply, _narrow(s.model.params), s.model.labels)
    layer = s.split if s.split.source is None else s.split.name
    low = s.but(model=narrow, x=_narrow(s.x), layer=layer)
    got = low.raw(u.astype(np.float32))
    s.but(rtol=1e-3).same(got.astype(np.float32), s.raw(u).astype(np.float32), "float32 moves the map")


def _narrow(tree: Any) -> Any:
    def one(leaf: Any) -> Any:
        leaf = jnp.asarray(leaf)
        return leaf.astype(jnp.float32) if leaf.dtype == jnp.float64 else leaf

    return jax.tree.map(one, tree)


def _average_and_matrix(s: Setting, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # The feature maps [B, Z, C] and W, if the head is an average and one matrix: its gradient is W / Z everywhere.
    A, G = (array.reshape(s.batch, -1, s.axes.channels) for array in s.gradients(direction))
    zero = s.but(x=jax.tree.map(jnp.zeros_like, s.x)).gradients(direction)[1]
    asks = "heads that are an average over space and one matrix, whose gradient is the same everywhere"
    mean = np.broadcast_to(G.mean((0, 1)), G.shape)
    s.unless(G, mean, asks)
    s.unless(zero.reshape(G.shape), mean, asks)
    return A, G.mean((0, 1)) * A.shape[1]
