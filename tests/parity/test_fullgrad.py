"""FullGrad beside pytorch-grad-cam 1.5.7's, on a record: where it deviates from the paper, and by how much.

It scales every *channel* of a share to 0..1 (the paper, and its authors' code: all channels of a share together), and
knows the biases of convolutions and batch normalisations only, so that its shares do not add up to the score.
"""

from __future__ import annotations

import functools

import camjax_torch
import jax
import jax.numpy as jnp
import numpy as np
import torch

import camjax
from camjax import testing
from camjax.testing.oracles import fullgrad as oracle
from camjax.trace import traced
from tests.parity.make_fullgrad_fixture import FIXTURE, TARGETS, network, pictures


@functools.cache
def model() -> camjax.Model:
    return camjax_torch.from_torch(network(), torch.from_numpy(pictures()))


@functools.cache
def shares(number: int) -> dict[str, np.ndarray]:
    """Each term of a picture's score by its name, on the grid as [*space, C] where it lies on it."""
    x = jnp.asarray(pictures()[number : number + 1])
    found = traced(model(), x)
    split = found.whole()
    terms = found.sites().terms(split, split.bound(model().params), x, lambda logits: logits[TARGETS[number]])
    return {t.name: np.asarray(t.values if t.axes is None else t.axes.to_map(t.values)) for t in terms}


def per_channel(share: np.ndarray) -> np.ndarray:
    """The library's way: each channel to 0..1, with its small number in the denominator."""
    above = np.abs(share) - np.abs(share).min((0, 1))
    scaled = above / (1e-7 + above.max((0, 1)))
    return sum(oracle.bilinear(scaled[..., k], (9, 9)) for k in range(share.shape[-1]))


def differs(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference of two maps, as the library shows them: scaled to 0..1."""
    one, other = ((m - m.min()) / (m.max() - m.min()) for m in (ours, theirs))
    return float(np.abs(one - other).max())


def test_the_peer_scales_each_channel_and_sees_two_biases():
    theirs = np.load(FIXTURE)["maps"]
    for number in range(3):
        found = shares(number)
        assert sorted(found) == ["0:add", "1:custom_jvp_call", "3:add", "7:add", "input", "target"]
        replayed = per_channel(found["input"]) + per_channel(found["0:add"]) + per_channel(found["3:add"])
        np.testing.assert_allclose(replayed, theirs[number], atol=1e-5)


def test_we_are_the_papers_map_and_they_are_far_from_it():
    theirs = np.load(FIXTURE)["maps"]
    got = camjax.explain(
        model(), jnp.asarray(pictures()), np.array(TARGETS), method=camjax.methods.FullGrad(), size=None
    )
    for number, ours in enumerate(jax.device_get(got.raw)):
        found = shares(number)
        on_the_grid = [found["input"], found["0:add"], found["1:custom_jvp_call"], found["3:add"]]
        np.testing.assert_allclose(ours, oracle.full_grad(on_the_grid, (9, 9)), atol=1e-4)
        assert differs(ours, theirs[number]) > 0.2


def test_our_shares_add_up_to_the_score_and_theirs_do_not():
    testing.complete(model(), jnp.asarray(pictures()), np.array(TARGETS), rtol=1e-6)
    for number in range(3):
        found = shares(number)
        size = sum(np.abs(share).sum() for share in found.values())
        assert np.abs(found["1:custom_jvp_call"].sum()) > 1e-3 * size  # what ReLU6 cuts off
