"""Methods that evaluate the model beside pytorch-grad-cam 1.5.7, torchcam 0.5.0 and captum 0.9.0, on a record.

As in `test_gradient.py`: where a library leaves the paper, a replay in NumPy gives its recorded map, the oracle gives
camjax's, and the distance between the two is stated.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import camjax_torch
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import camjax
from camjax import methods
from camjax.testing.oracles import perturbation as oracle
from tests import data
from tests.parity import make_evaluation_fixture as made
from tests.parity.make_evaluation_fixture import LAYER, PHOTOS, SIGNED

TOLERANCE = 1e-4  # of float32, through 20 layers and a softmax


@functools.cache
def record() -> dict[str, np.ndarray]:
    with np.load(made.FIXTURE) as stored:
        return dict(stored)


@functools.cache
def pictures() -> np.ndarray:
    return made.pictures([data.data_dir() / "imagenet100" / str(file) for file in record()["files"]])


@functools.cache
def ours() -> dict[str, np.ndarray]:
    """camjax's raw maps by method, and by layer where there are two."""
    model = camjax_torch.from_torch(made.network(), torch.zeros(2, 3, 32, 32))
    x, labels = jnp.asarray(pictures()), record()["targets"]

    def raw(method: methods.Method, layer: str = LAYER) -> np.ndarray:
        found = camjax.explain(model, x, labels, layer=layer, method=method, size=None, chunk=64)
        return np.asarray(found.raw)

    return {
        "ScoreCAM": raw(methods.ScoreCAM()),
        "ISCAM": raw(methods.ISCAM(made.SAMPLES)),
        "Occlusion": raw(methods.Occlusion(made.PATCH, made.STRIDE)),
        f"AblationCAM/{LAYER}": raw(methods.AblationCAM()),
        f"AblationCAM/{SIGNED}": raw(methods.AblationCAM(), SIGNED),
    }


@functools.cache
def network() -> torch.nn.Module:
    return made.network()


@torch.no_grad()
def scores(x: np.ndarray, photo: int, layer: str = LAYER, planted: np.ndarray | None = None) -> np.ndarray:
    """The logits of a photo's class, by PyTorch, with feature maps planted at a layer."""
    given = [] if planted is None else [torch.from_numpy(planted.astype(np.float32))]
    handle = network().get_submodule(layer).register_forward_hook(lambda *_: given[0] if given else None)
    found = network()(torch.from_numpy(x.astype(np.float32)))[:, record()["targets"][photo]]
    handle.remove()
    return found.double().numpy()


@functools.cache
def feature_maps(layer: str) -> np.ndarray:
    """[N, C, h, w], by PyTorch."""
    kept = []
    handle = network().get_submodule(layer).register_forward_hook(lambda _, __, output: kept.append(output))
    with torch.no_grad():
        network()(torch.from_numpy(pictures()))
    handle.remove()
    return kept[0].double().numpy()


def upsampled(A: np.ndarray, corners: bool = False) -> np.ndarray:
    """[C, h, w] to 32x32, bilinear; with pixels' centres, or with the corners' pixels, on one another."""
    n, m, i = A.shape[-1], 32, np.arange(32)
    at = i * (n - 1) / (m - 1) if corners else (i + 0.5) * n / m - 0.5
    low = np.floor(at).astype(int)
    W = np.zeros((m, n))
    for corner, share in ((low, 1 - (at - low)), (low + 1, at - low)):
        np.add.at(W, (i, corner.clip(0, n - 1)), share)
    return np.einsum("yi,cij,xj->cyx", W, A, W)


def scaled(A: np.ndarray) -> np.ndarray:
    low = A.min((-2, -1), keepdims=True)
    return (A - low) / (A.max((-2, -1), keepdims=True) - low + 1e-8)


def softmax(s: np.ndarray) -> np.ndarray:
    return np.exp(s - s.max()) / np.exp(s - s.max()).sum()


def weighted(w: np.ndarray, A: np.ndarray) -> np.ndarray:
    return np.einsum("c,cyx->yx", w, A)


def corners_on_one_another(photo: int) -> np.ndarray:
    """pytorch-grad-cam's Score-CAM: masks upsampled with `align_corners=True`, which stretches them."""
    A, x = feature_maps(LAYER)[photo], pictures()[photo]
    return weighted(softmax(scores(x * scaled(upsampled(A, corners=True))[:, None], photo)), A)


def scaled_before_upsampling(photo: int) -> np.ndarray:
    """torchcam's Score-CAM: masks scaled to 0..1 first, so that they no longer reach both ends once upsampled."""
    A, x = feature_maps(LAYER)[photo], pictures()[photo]
    return np.maximum(weighted(softmax(scores(x * upsampled(scaled(A))[:, None], photo)), A), 0)


def steps_added_up(photo: int) -> np.ndarray:
    """torchcam's IS-CAM: the input's strength is the running sum of i / N, up to (N + 1) / 2 times the input."""
    A, x = feature_maps(LAYER)[photo], pictures()[photo]
    masked = x * upsampled(scaled(A))[:, None]
    each = [scores(strength * masked, photo) for strength in np.cumsum(np.arange(1, made.SAMPLES + 1) / made.SAMPLES)]
    return np.maximum(weighted(softmax(np.mean(each, 0)), A), 0)


def divided_by_the_score(photo: int) -> np.ndarray:
    """pytorch-grad-cam's Ablation-CAM, as the paper has it: the fall is divided by a score that may be negative."""
    A, x = feature_maps(LAYER)[photo], pictures()[photo]
    kept = 1 - np.eye(64)[:, :, None, None]
    S, without = scores(x[None], photo), scores(np.stack([x] * 64), photo, LAYER, A * kept)
    return weighted((S - without) / S, A)


def drifting_values(photo: int) -> np.ndarray:
    """pytorch-grad-cam's Ablation-CAM where values are negative: 1e7 below the chunk's smallest, again and again."""
    A, x = feature_maps(SIGNED)[photo], pictures()[photo]
    planted = np.stack([A] * 64)
    for k in range(64):
        planted[k, k] = A.min() - 1e7 * (k % 32 + 1)
    S, without = scores(x[None], photo), scores(np.stack([x] * 64), photo, SIGNED, planted)
    return weighted((S - without) / S, A)


def score_cam(photo: int) -> np.ndarray:
    A, x = np.moveaxis(feature_maps(LAYER)[photo], 0, -1), np.moveaxis(pictures()[photo], 0, -1).astype(np.float64)
    return oracle.score_cam(A, x, lambda one: scores(np.moveaxis(one, -1, 0)[None], photo)[0])


def iscam(photo: int) -> np.ndarray:
    A, x = np.moveaxis(feature_maps(LAYER)[photo], 0, -1), np.moveaxis(pictures()[photo], 0, -1).astype(np.float64)
    return oracle.iscam(A, x, lambda one: scores(np.moveaxis(one, -1, 0)[None], photo)[0], samples=made.SAMPLES)


def ablation_cam(layer: str, photo: int) -> np.ndarray:
    x = pictures()[photo][None]
    score = lambda one: scores(x, photo, layer, np.moveaxis(one, -1, 0)[None])[0]  # noqa: E731
    return oracle.ablation_cam(np.moveaxis(feature_maps(layer)[photo], 0, -1), score)


class Deviation(NamedTuple):
    """What the library does, the paper's formula, camjax's method, and how far apart the raw maps are in the median."""

    replay: Callable[[int], np.ndarray]
    oracle: Callable[[int], np.ndarray]
    method: str
    margin: float


ABLATION = functools.partial(ablation_cam, LAYER), f"AblationCAM/{LAYER}"
DEVIATIONS = {
    f"pytorch_grad_cam/ScoreCAM/{LAYER}": Deviation(corners_on_one_another, score_cam, "ScoreCAM", 0.1),
    "torchcam/ScoreCAM": Deviation(scaled_before_upsampling, score_cam, "ScoreCAM", 0.05),
    "torchcam/ISCAM": Deviation(steps_added_up, iscam, "ISCAM", 0.1),
    f"pytorch_grad_cam/AblationCAM/{LAYER}": Deviation(divided_by_the_score, *ABLATION, 0.5),
    f"pytorch_grad_cam/AblationCAM/{SIGNED}": Deviation(
        drifting_values, functools.partial(ablation_cam, SIGNED), f"AblationCAM/{SIGNED}", 0.2
    ),
}


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The largest difference of each photo's maps, in units of the latter's largest absolute value."""
    return np.abs(one - other).max((1, 2)) / np.abs(other).max((1, 2))


@pytest.mark.real
@pytest.mark.parametrize("name", DEVIATIONS)
def test_where_a_library_leaves_the_paper_the_oracle_is_on_our_side(name: str):
    deviation, mine = DEVIATIONS[name], ours()[DEVIATIONS[name].method]
    theirs = record()[name]
    mine = np.maximum(mine, 0) if name.startswith("torchcam") else mine
    photos = [0, len(theirs) - 1]
    replayed = np.stack([deviation.replay(photo) for photo in photos])
    assert apart(replayed, theirs[photos]).max() <= TOLERANCE
    papers = np.stack([deviation.oracle(photo) for photo in photos])
    papers = np.maximum(papers, 0) if name.startswith("torchcam") else papers
    assert apart(mine[photos], papers).max() <= TOLERANCE
    assert np.median(apart(mine, theirs)) > deviation.margin


@pytest.mark.real
def test_ablation_is_the_same_but_for_the_sign_of_the_score():
    mine, theirs = ours()[ABLATION[1]], record()[f"pytorch_grad_cam/AblationCAM/{LAYER}"]
    half = PHOTOS // 2
    assert apart(mine[:half], theirs[:half]).max() <= TOLERANCE
    assert apart(-mine[half:], theirs[half:]).max() <= TOLERANCE


@pytest.mark.real
@pytest.mark.parametrize("layer", [LAYER, SIGNED])
def test_captum_measures_the_same_falls_without_a_channel(layer: str):
    S = np.array([scores(pictures()[photo][None], photo)[0] for photo in range(PHOTOS)])
    falls = record()[f"captum/LayerFeatureAblation/{layer}"] / np.abs(S)[:, None]
    theirs = np.einsum("nc,ncyx->nyx", falls, feature_maps(layer))
    assert apart(ours()[f"AblationCAM/{layer}"], theirs).max() <= TOLERANCE


@pytest.mark.real
def test_occlusion_equals_that_of_captum():
    assert apart(ours()["Occlusion"], record()["captum/Occlusion"]).max() <= TOLERANCE


@pytest.mark.real
def test_integrated_gradients_equal_those_of_captum():
    with jax.enable_x64(True):
        model = camjax_torch.from_torch(made.network().double(), torch.zeros(2, 3, 32, 32).double())
        method = camjax.saliency.IntegratedGradients(steps=made.STEPS)
        x = jnp.asarray(pictures().astype(np.float64))
        got = camjax.attribute(model, x, record()["targets"], method=method, strict=False)
    assert apart(np.asarray(got.values).sum(1), record()["captum/IntegratedGradients"]).max() <= 1e-6


def test_the_record_is_what_it_says():
    assert {"captum 0.9.0", "grad-cam 1.5.7", "torchcam 0.5.0"} <= set(record()["versions"])
    assert len(record()["files"]) == len(record()["targets"]) == PHOTOS >= 20
    for name, values in record().items():
        if "/" in name:
            assert len(values) == PHOTOS
            assert np.isfinite(values).all()
            assert (np.abs(values).max(tuple(range(1, values.ndim))) > 0).all()
