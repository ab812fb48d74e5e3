"""Laws and oracles for explanations, public: what a map must satisfy, as functions for property-based tests.

A law takes a model, a batch and, as keywords, `layer`, `method`, `seed` and `rtol`; it raises AssertionError, with
the worst position, where it does not hold. `check` runs all that are claimed for a method:

>>> import camjax, jax, jax.numpy as jnp
>>> def apply(params, x):
...     with jax.named_scope("conv"):
...         dims = ("NHWC", "HWIO", "NHWC")
...         x = jax.nn.relu(jax.lax.conv_general_dilated(x, params, (1, 1), "SAME", dimension_numbers=dims))
...     return x.mean((1, 2))
>>> model = camjax.Model(apply, jax.random.normal(jax.random.key(0), (3, 3, 1, 2)))
>>> x = jax.random.normal(jax.random.key(1), (2, 4, 4, 1))
>>> check(model, x, method=camjax.GradCAM())
['linear', 'shift', 'homogeneous', 'odd', 'gauge', 'mix', 'permutation', 'stacked', 'chunked', 'transformed', 'finite']
>>> local(model, x, method=camjax.HiResCAM())
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from camjax._model import Model
from camjax.methods import GradCAM, Method
from camjax.testing import oracles
from camjax.testing._claims import CLAIMED
from camjax.testing._complete import Completeness, complete, completeness
from camjax.testing._invariants import chunked, finite, stacked, transformed
from camjax.testing._laws import (
    gauge,
    homogeneous,
    linear,
    local,
    mix,
    odd,
    permutation,
    shift,
    total,
)
from camjax.testing._transformer import tiny_transformer

__all__ = [
    "CLAIMED",
    "INVARIANTS",
    "LAWS",
    "Completeness",
    "check",
    "chunked",
    "complete",
    "completeness",
    "finite",
    "gauge",
    "homogeneous",
    "linear",
    "local",
    "mix",
    "odd",
    "oracles",
    "permutation",
    "shift",
    "stacked",
    "tiny_transformer",
    "total",
    "transformed",
]

LAWS: tuple[Callable[..., None], ...] = (linear, shift, homogeneous, odd, gauge, mix, permutation, total, local)
"""The laws that hold for some methods and not for others."""

INVARIANTS: tuple[Callable[..., None], ...] = (stacked, chunked, transformed, finite)
"""The laws that hold for every method."""


def check(model: Model, x: Any, *, method: Method | None = None, **setting: Any) -> list[str]:
    """Checks every law that should hold for a method on a model, and returns their names.

    Args:
        model: any `camjax.Model`; one in float64 is checked to 1e-9, others to 2e-4, relative to the largest value.
        x: a batch, its axis first; two or three examples will do.
        method: as for `camjax.explain`; for a method of your own only the invariants are known to hold.
        **setting: `layer`, `seed` and `rtol`, as for each law.

    Raises:
        AssertionError: in words, for the first law that does not hold.
    """
    method = GradCAM() if method is None else method
    laws = (*CLAIMED.get(type(method), ()), *INVARIANTS)
    for law in laws:
        law(model, x, method=method, **setting)
    return [law.__name__ for law in laws]
