"""Non-negative matrix factorisation: the start and the updates, as pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from camjax._eigh import eigh

if TYPE_CHECKING:
    from jaxtyping import Array, Float


class Factors(NamedTuple):
    """V = H W, nearly.

    Attributes:
        H: `[rows, k]`, non-negative, the largest entry of each column 1 (0 where the factor is not used).
        W: `[k, columns]`, non-negative; the factors with the largest part of V come first.
        errors: `[iterations + 1]`, ||V - H W|| / ||V|| before the first update and after each.
    """

    H: Float[Array, "rows k"]
    W: Float[Array, "k columns"]
    errors: Float[Array, " iterations_and_1"]


def factors(V: Float[Array, "rows columns"], k: int, iterations: int) -> Factors:
    """V >= 0 as a product H W of non-negative factors, from a start that V alone determines.

    Multiplicative updates (Lee & Seung, NIPS 2000, eq. 4) of min ||V - H W||_F, under which it never grows:

        W <- W * (H'V) / (H'H W),        H <- H * (V W') / (H W W')

    >>> V = jnp.array([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0], [0.0, 0.0, 3.0]])
    >>> found = factors(V, 2, 100)
    >>> bool(jnp.abs(found.H @ found.W - V).max() < 1e-3)
    True
    """
    mean = V.mean()
    scale = jnp.where(mean > 0, mean, 1)
    V = V / scale
    norm = jnp.sqrt(_squares(V))

    def update(HW: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], Any]:
        H, W = HW
        W = W * _ratio(_times(H.T, V), _times(_times(H.T, H), W))
        H = H * _ratio(_times(V, W.T), _times(H, _times(W, W.T)))
        return (H, W), off(H, W)

    def off(H: Any, W: Any) -> Any:
        return _ratio(jnp.sqrt(_squares(V - _times(H, W))), norm)

    start = nndsvd(V, k)
    (H, W), errors = jax.lax.scan(update, start, None, length=iterations)
    top = H.max(0, keepdims=True)
    top = jnp.where(top > 0, top, 1)
    H, W = H / top, W * top.T * scale
    order = jnp.argsort(-H.sum(0) * W.sum(1))
    return Factors(H[:, order], W[order], jnp.concatenate([off(*start)[None], errors]))


def nndsvd(V: Float[Array, "rows columns"], k: int) -> tuple[Float[Array, "rows k"], Float[Array, "k columns"]]:
    """The start: non-negative double SVD (Boutsidis & Gallopoulos, Pattern Recognition 2008), zeros made the mean of V.

    Of V's leading k singular pairs (u, v) the first is positive. Of each other, the positive parts of (u, v) or of
    (-u, -v) are taken, whichever product is larger, so that the signs of a decomposition do not matter.
    """
    rows, columns = V.shape
    wide = columns >= rows
    values, vectors = eigh(_times(V, V.T) if wide else _times(V.T, V))  # through the smaller Gram matrix
    s, near = jnp.sqrt(jax.nn.relu(values[: -k - 1 : -1])), vectors[:, : -k - 1 : -1]
    s = s[None]
    far = _ratio(_times(V.T if wide else V, near), s)
    u, v = (near, far) if wide else (far, near)
    first = jnp.arange(k)[None] == 0

    def halves(sign: int) -> tuple[Any, Any, Any]:
        a, b = (jnp.where(first, jnp.abs(x), jax.nn.relu(sign * x)) for x in (u, v))
        p, q = (jnp.sqrt(jnp.sum(jnp.square(x), 0, keepdims=True)) for x in (a, b))
        return _ratio(a, p), _ratio(b, q), p * q

    (a, b, m), (c, d, n) = halves(1), halves(-1)
    size = jnp.sqrt(s * jnp.maximum(m, n))
    H, W = jnp.where(m >= n, a, c) * size, (jnp.where(m >= n, b, d) * size).T
    mean = V.mean()
    return jnp.where(H > 0, H, mean), jnp.where(W > 0, W, mean)


def _times(a: Any, b: Any) -> Any:
    return jnp.matmul(a, b, precision="highest")


def _squares(a: Any) -> Any:
    return jnp.sum(jnp.square(a))


def _ratio(a: Any, b: Any) -> Any:
    # 0 / 0 is 0: what has no part in the product gets none.
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)
