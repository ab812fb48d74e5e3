"""Oracles of the token methods, and of a vision transformer whose attention can be replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float64, Int


class Pass(NamedTuple):
    """What one forward pass has computed; the lists have one entry per block.

    Attributes:
        scores: `[classes]`.
        P: probabilities, `[H, T, T]`.
        q, k, v, out: `[H, T, D]`; out = P v.
        z: the tokens behind the block, `[T, C]`.
    """

    scores: Any
    P: list[Any]
    q: list[Any]
    k: list[Any]
    v: list[Any]
    out: list[Any]
    z: list[Any]


def transformer(
    w: Any,
    heads: int,
    patch: int,
    pool: bool,
    picture: Float64[np.ndarray, "h w 3"],
    P: Mapping[int, np.ndarray] | None = None,
    out: Mapping[int, np.ndarray] | None = None,
) -> Pass:
    """The network of `camjax.testing.tiny_transformer`.

    Args:
        w: its parameters, as NumPy arrays.
        heads: as there, like all others.
        patch: its side.
        pool: whether the head reads the mean of the patches.
        picture: one example.
        P: for some blocks, by number, the probabilities that take the place of their own.
        out: likewise, what takes the place of P v.
    """
    lists: tuple[list[Any], ...] = ([], [], [], [], [], [])
    z = [np.asarray(token) for token in w["tokens"]]
    for y in range(0, picture.shape[0], patch):
        for x in range(0, picture.shape[1], patch):
            z.append(np.einsum("abc,abcd->d", picture[y : y + patch, x : x + patch], w["patch"]))
    z = np.stack(z) + w["positions"]
    for number, block in enumerate(w["blocks"]):
        q, k, v = (_heads(_norm(z) @ block[name], heads) for name in "qkv")
        own = np.exp([q[h] @ k[h].T / np.sqrt(len(q[h, 0])) for h in range(heads)])
        own = np.asarray((P or {}).get(number, own / own.sum(-1, keepdims=True)))
        after = (out or {}).get(number, np.stack([p @ values for p, values in zip(own, v, strict=True)]))
        z = z + np.concatenate(list(after), axis=1) @ block["out"]
        z = z + _gelu(_norm(z) @ block["up"]) @ block["down"]
        for row, value in zip(lists, (own, q, k, v, after, z), strict=True):
            row.append(value)
    return Pass(head(w, pool, z), *lists)


def head(w: Any, pool: bool, z: Float64[np.ndarray, "T C"]) -> Float64[np.ndarray, " classes"]:
    """What follows the last block: each token normalised, the class token or the mean of the patches, a matrix."""
    z = _norm(z)
    return (z[len(w["tokens"]) :].mean(0) if pool else z[0]) @ w["head"]


def legrad(
    after: Sequence[Callable[[np.ndarray], float]], P: Sequence[Float64[np.ndarray, "H T T"]]
) -> Float64[np.ndarray, " T"]:
    """LeGrad: per block, the positive part of ds_l/dP_l, averaged over heads and queries, and the sum of these.

    Args:
        after: for each block, from its probabilities to s_l.
        P: the probabilities.
    """
    from camjax.testing.oracles.gradient import gradient

    total = np.zeros(P[0].shape[-1])
    for s, p in zip(after, P, strict=True):
        g = gradient(s, p)
        for j in range(len(total)):
            for h in range(len(p)):
                for i in range(len(total)):
                    total[j] += max(g[h, i, j], 0.0) / (len(p) * len(total))
    return total


def rollout(P: Sequence[Float64[np.ndarray, "H T T"]]) -> Float64[np.ndarray, "T T"]:
    """Attention rollout: the product of 0.5 (mean attention) + 0.5 I, rows normalised, the last block on the left.

    >>> rollout([np.array([[[0.5, 0.5], [0.0, 1.0]]])])
    array([[0.75, 0.25],
           [0.  , 1.  ]])
    """
    R = np.eye(P[0].shape[-1])
    for p in P:
        A = 0.5 * sum(p) / len(p) + 0.5 * np.eye(len(R))
        A = np.stack([row / row.sum() for row in A])
        R = A @ R
    return R


def gae(
    P: Sequence[Float64[np.ndarray, "H T T"]], G: Sequence[Float64[np.ndarray, "H T T"]]
) -> Float64[np.ndarray, "T T"]:
    """GAE's eq. 5 and 6 for self-attention.

    >>> gae([np.array([[[0.5, 0.5], [0.0, 1.0]]])], [np.array([[[1.0, -1.0], [2.0, 3.0]]])])
    array([[1.5, 0. ],
           [0. , 4. ]])
    """
    R = np.eye(P[0].shape[-1])
    for p, g in zip(P, G, strict=True):
        A = np.zeros_like(R)
        for h in range(len(p)):
            A += np.maximum(g[h] * p[h], 0) / len(p)
        R = R + A @ R
    return R


def grad_eclip(
    q: Float64[np.ndarray, "H T D"],
    k: Float64[np.ndarray, "H T D"],
    v: Float64[np.ndarray, "H T D"],
    G: Float64[np.ndarray, "H T D"],
    places: Int[np.ndarray, "..."],
    rows: Sequence[int],
) -> Float64[np.ndarray, "..."]:
    """Grad-ECLIP without the ReLU: gradients times values times loosened attention, summed over the read tokens.

    Args:
        q: of the last block, as all others.
        k: keys.
        v: values.
        G: dS/dO.
        places: the number of the token at each position of the picture.
        rows: the tokens that are read: the class token, or all that are averaged.
    """
    q, k, v, G = (np.concatenate(list(a), axis=1) for a in (q, k, v, G))  # all heads' channels
    raw = np.zeros(places.shape)
    for i in rows:
        cosine = np.zeros(places.shape)
        for p in np.ndindex(places.shape):
            key = k[places[p]]
            cosine[p] = q[i] @ key / np.sqrt((q[i] @ q[i]) * (key @ key))
        loosened = (cosine - cosine.min()) / (cosine.max() - cosine.min())
        for p in np.ndindex(places.shape):
            for d in range(v.shape[1]):
                raw[p] += G[i, d] * v[places[p], d] * loosened[p]
    return raw


def _heads(y: np.ndarray, heads: int) -> np.ndarray:
    return np.stack(np.split(y, heads, axis=1))


def _norm(tokens: np.ndarray) -> np.ndarray:
    return (tokens - tokens.mean(-1, keepdims=True)) / np.sqrt(tokens.var(-1, keepdims=True) + 1e-6)


def _gelu(z: np.ndarray) -> np.ndarray:
    return z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))) / 2
