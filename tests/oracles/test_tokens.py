"""The token methods against their papers' equations, literally, on a transformer that NumPy evaluates by itself."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import camjax
from camjax import testing
from camjax.testing.oracles import tokens as oracle
from camjax.testing.oracles.gradient import gradient
from tests.laws.tried import quickly

PLACES = np.arange(4).reshape(2, 2) + 2  # behind a class token and a register
TEXT = np.random.default_rng(9).normal(size=5)
METHODS = (camjax.LeGrad(), camjax.LeGrad(blocks=1), camjax.AttentionRollout(), camjax.GAE(), camjax.GradECLIP())


@dataclasses.dataclass(frozen=True)
class Together:
    """The maps of all methods, one below the other: compiled once."""

    grid: ClassVar[str] = "own"

    def __call__(self, *, attention):
        return camjax.CoarseMap(jnp.concatenate([method(attention=attention).raw for method in METHODS]))


def similarity(scores):
    return float(scores @ TEXT / np.sqrt((scores @ scores) * (TEXT @ TEXT)))


class Case:
    """A tiny transformer and a picture: its forward pass by the oracle, and its maps."""

    def __init__(self, pool):
        self.pool = pool
        self.model = testing.tiny_transformer(seed=int(pool), grid=(2, 2), registers=1, pool=pool)
        self.x = np.random.default_rng(5).normal(size=(1, 8, 8, 3))
        self.w = jax.tree.map(np.asarray, self.model.params)
        self.own = self.run()
        self.rows = list(PLACES.ravel()) if pool else [0]
        target = camjax.targets.embedding(jnp.asarray(TEXT))
        self.explained = camjax.explain(self.model, self.x, target, method=Together(), size=None)
        self.maps = dict(zip(METHODS, np.split(np.asarray(self.explained.raw[0]), len(METHODS)), strict=True))

    def run(self, **planted):
        return oracle.transformer(self.w, 2, 4, self.pool, self.x[0], **planted)

    def of_mean_token(self, number):
        """The paper's s_l as a function of a block's probabilities: the head on the mean token, by itself."""

        def s(P):
            mean = self.run(P={number: P}).z[number].mean(0)
            return similarity(oracle.head(self.w, self.pool, np.stack([mean] * 6)))

        return s

    def read(self, R):
        return R[self.rows].mean(0)[PLACES]


@pytest.fixture(scope="module", params=[False, True], ids=["class token", "mean"])
def case(request):
    with quickly():
        yield Case(request.param)


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6 * np.abs(want).max())


def test_the_oracle_is_the_model(case):
    assert similarity(case.own.scores) == pytest.approx(case.explained.score.item(), rel=1e-12)


@pytest.mark.parametrize("blocks", [None, 1])
def test_legrad(case, blocks):
    numbers = range(2) if blocks is None else (1,)
    want = oracle.legrad([case.of_mean_token(n) for n in numbers], [case.own.P[n] for n in numbers])
    close(case.maps[camjax.LeGrad(blocks)], want[PLACES])


def test_rollout(case):
    close(case.maps[camjax.AttentionRollout()], case.read(oracle.rollout(case.own.P)))


def test_gae(case):
    G = [gradient(lambda P, n=n: similarity(case.run(P={n: P}).scores), case.own.P[n]) for n in range(2)]
    R = oracle.gae(case.own.P, G)
    close(case.maps[camjax.GAE()], case.read(R - np.eye(len(R))))


def test_grad_eclip(case):
    own = case.own
    G = gradient(lambda out: similarity(case.run(out={1: out}).scores), own.out[1])
    want = oracle.grad_eclip(own.q[1], own.k[1], own.v[1], G, PLACES, case.rows)
    close(case.maps[camjax.GradECLIP()], want)
