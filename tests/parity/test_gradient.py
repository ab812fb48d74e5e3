"""Methods of feature maps and gradients beside pytorch-grad-cam 1.5.7, torchcam 0.5.0 and captum 0.9.0, on a record.

Where a library follows the paper, the maps are the same. Where it does not, three things are shown: what it computes
instead, as a few lines of NumPy that give its recorded map; that the oracle, the paper's formula written out, gives
camjax's map; and how far apart the two are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch

import camjax
from camjax import methods
from camjax.testing import oracles
from tests import data
from tests.parity.make_gradient_fixture import FIXTURE, LAYERS, PHOTOS, STEPS, cut
from tests.parity.networks import NETWORKS
from tests.parity.planted import raw_maps

TOLERANCE = 1e-6
OF_THE_LOGIT = {
    "GradCAM": methods.GradCAM(),
    "HiResCAM": methods.HiResCAM(),
    "LayerCAM": methods.LayerCAM(),
    "ElementwiseGradCAM": methods.ElementwiseGradCAM(),
    "XGradCAM": methods.XGradCAM(),
    "GradCAMPlusPlus": methods.GradCAMPlusPlus(),
    "FEM": methods.FEM(),
    "LayerIntegratedGradients": methods.LayerIntegratedGradients(steps=STEPS),
    "LiftCAM": methods.LiftCAM(),
}
AGREE = {
    "pytorch_grad_cam/XGradCAM": "XGradCAM",
    "pytorch_grad_cam/GradCAMElementWise": "ElementwiseGradCAM",
    "pytorch_grad_cam/ShapleyCAM": "ShapleyCAM",
    "torchcam/GradCAM": "GradCAM",
    "torchcam/XGradCAM": "XGradCAM",
    "torchcam/LayerCAM": "LayerCAM",
    "torchcam/FinerCAM": "FinerCAM",
    "captum/LayerGradCam": "GradCAM",
    "captum/LayerGradientXActivation": "HiResCAM",
    "captum/IntegratedGradients": "LayerIntegratedGradients",
    "captum/DeepLift": "LiftCAM",
}


@functools.cache
def record() -> dict[str, np.ndarray]:
    with np.load(FIXTURE) as stored:
        return dict(stored)


@functools.cache
def ours(network: str) -> dict[str, np.ndarray]:
    """camjax's raw maps [N, h, w] by the method's name, of the labelled class or of the predicted one."""
    labels = record()["targets"]
    of = functools.partial(raw_maps, network, f"features.{LAYERS[network]}", "float64", list(record()["files"]))
    found = of(labels, OF_THE_LOGIT)
    found |= of(camjax.targets.rest(labels), {"ShapleyCAM": methods.ShapleyCAM()})
    found |= of(camjax.targets.finer(labels), {"FinerCAM": methods.GradCAM()})
    predicted = camjax.targets.finer(alpha=1.0, weighted=True)
    return found | of(predicted, {"FinerCAM-weighted": methods.GradCAM()})


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The largest difference of each photo's maps, in units of the latter's largest absolute value."""
    return np.abs(one - other).max((1, 2)) / np.abs(other).max((1, 2))


@pytest.mark.real
@pytest.mark.parametrize("network", ["squeezenet1_1"])
def test_the_libraries_agree_where_they_follow_the_paper(network: str):
    for name, method in AGREE.items():
        if f"{network}/{name}" not in record():
            assert (network, name) == ("mobilenet_v2_tfsame", "captum/DeepLift")  # which does not know ReLU6
            continue
        mine = ours(network)[method]
        mine = np.maximum(mine, 0) if name.startswith("torchcam") else mine
        assert apart(mine, record()[f"{network}/{name}"]).max() <= TOLERANCE, name


@functools.cache
def torch_head() -> tuple[torch.nn.Module, torch.Tensor]:
    """What follows SqueezeNet's layer, and the layer's feature maps [N, C, h, w], by PyTorch."""
    network = next(network for network in NETWORKS if network.name == "squeezenet1_1")
    before, head = cut(network.name, network.load("float64"))
    paths = [data.data_dir() / "imagenet100" / str(file) for file in record()["files"]]
    with torch.no_grad():
        A = before(torch.from_numpy(data.batch(paths, network.style, "NCHW").astype("float64")))
    return head, A.requires_grad_()


@functools.cache
def maps_and_gradients() -> tuple[np.ndarray, np.ndarray]:
    """The feature maps, and the gradients of the labelled logits, [N, C, h, w] each."""
    head, A = torch_head()
    score = head(A).gather(1, torch.from_numpy(record()["targets"]).long()[:, None]).sum()
    (G,) = torch.autograd.grad(score, A)
    return A.detach().numpy(), G.numpy()


def weighted(w: np.ndarray, A: np.ndarray) -> np.ndarray:
    return (w[:, :, None, None] * A).sum(1)


def small_number_beside_squares(A: np.ndarray, G: np.ndarray) -> np.ndarray:
    """pytorch-grad-cam's Grad-CAM++: 1e-6 is added to 2 G^2 + a G^3, which is of that size itself."""
    a = A.sum((2, 3), keepdims=True)
    alpha = np.where(G != 0, G**2 / (2 * G**2 + a * G**3 + 1e-6), 0)
    return weighted((alpha * np.maximum(G, 0)).sum((2, 3)), A)


def no_division(A: np.ndarray, G: np.ndarray) -> np.ndarray:
    """torchcam's Grad-CAM++: the division changes a copy, so that G^2 stands for alpha."""
    return np.maximum(weighted((G**2 * np.maximum(G, 0)).sum((2, 3)), A), 0)


def sum_of_products(A: np.ndarray, G: np.ndarray) -> np.ndarray:
    """torchcam's Smooth Grad-CAM++ without noise: sum_q A G^3 stands for (sum_q A) G^3."""
    alpha = G**2 / (2 * G**2 + (A * G**3).sum((2, 3), keepdims=True) + 1e-8)
    return np.maximum(weighted((alpha * np.maximum(G, 0)).sum((2, 3)), A), 0)


def share_of_the_mask(A: np.ndarray, G: np.ndarray) -> np.ndarray:
    """pytorch-grad-cam's FEM: feature maps weighted by how often they are unusual; the paper: masks by the mean."""
    unusual = A.mean((2, 3), keepdims=True) + 2 * A.std((2, 3), keepdims=True) < A
    return weighted(unusual.mean((2, 3)), A)


def grad_cam_plus_plus(A: np.ndarray, G: np.ndarray) -> np.ndarray:
    return oracles.weights.grad_cam_plus_plus(A, G, G**2, G**3)


class Deviation(NamedTuple):
    """What the library does, the paper's formula, camjax's method, and how far apart the maps are in the median."""

    replay: Callable[[np.ndarray, np.ndarray], np.ndarray]
    oracle: Callable[[np.ndarray, np.ndarray], np.ndarray]
    method: str
    margin: float


DEVIATIONS = {
    "pytorch_grad_cam/GradCAMPlusPlus": Deviation(
        small_number_beside_squares, grad_cam_plus_plus, "GradCAMPlusPlus", 0.05
    ),
    "torchcam/GradCAMpp": Deviation(no_division, grad_cam_plus_plus, "GradCAMPlusPlus", 0.15),
    "torchcam/SmoothGradCAMpp": Deviation(sum_of_products, grad_cam_plus_plus, "GradCAMPlusPlus", 0.3),
    "pytorch_grad_cam/FEM": Deviation(share_of_the_mask, lambda A, G: oracles.spectral.fem(A), "FEM", 0.3),
}


def shown(raw: np.ndarray) -> np.ndarray:
    """The map after ReLU, divided by its maximum."""
    heat = np.maximum(raw, 0)
    return heat / heat.max((1, 2), keepdims=True)


@pytest.mark.real
@pytest.mark.parametrize("name", DEVIATIONS)
def test_where_a_library_leaves_the_paper_the_oracle_is_on_our_side(name: str):
    deviation, (A, G) = DEVIATIONS[name], maps_and_gradients()
    theirs, mine = record()[f"squeezenet1_1/{name}"], ours("squeezenet1_1")[deviation.method]
    assert apart(deviation.replay(A, G), theirs).max() <= TOLERANCE
    for number in range(3):
        paper = deviation.oracle(np.moveaxis(A[number], 0, -1), np.moveaxis(G[number], 0, -1))
        assert apart(mine[number : number + 1], paper[None]).max() <= TOLERANCE
    assert np.median(np.abs(shown(theirs) - shown(mine)).max((1, 2))) > deviation.margin


def finer(small: float) -> np.ndarray:
    """Finer-CAM as its authors' code weighs it, with a small number beside the sum of the probabilities."""
    head, A = torch_head()
    logits = head(A)
    own, near = logits.max(1, keepdim=True)[0], logits.topk(4)[1][:, 1:]
    p = logits.softmax(1).gather(1, near)
    score = (p * (own - logits.gather(1, near))).sum(1) / (p.sum(1) + small)
    (G,) = torch.autograd.grad(score.sum(), A)
    return weighted(G.numpy().mean((2, 3)), A.detach().numpy())


@pytest.mark.real
def test_a_small_number_beside_small_probabilities_moves_pytorch_grad_cams_finer_cam():
    """It adds 1e-9 to the sum of three probabilities, which is no more than that where the network is sure."""
    mine, theirs = ours("squeezenet1_1")["FinerCAM-weighted"], record()["squeezenet1_1/pytorch_grad_cam/FinerCAM"]
    assert apart(finer(1e-9), theirs).max() <= TOLERANCE
    assert apart(mine, finer(0.0)).max() <= TOLERANCE
    assert np.median(apart(mine, theirs)) <= TOLERANCE
    assert apart(mine, theirs).max() > 1e-3


def test_the_record_is_what_it_says():
    assert {"captum 0.9.0", "grad-cam 1.5.7", "torchcam 0.5.0"} <= set(record()["versions"])
    assert len(record()["files"]) == len(record()["targets"]) == PHOTOS >= 20
    for key in ("squeezenet1_1/" + name for name in (*AGREE, *DEVIATIONS, "pytorch_grad_cam/FinerCAM")):
        assert len(record()[key]) == PHOTOS
        assert np.isfinite(record()[key]).all()
        assert (np.abs(record()[key]).max((1, 2)) > 0).all()
