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
['linear', 'shift', 'homogeneous', 'odd', 'gauge', 'mix', 'permutation', 'dead', 'common', 'finite', 'stacked',
 'chunked', 'transformed', 'pooled_total', 'spatial']
>>> local(model, x, method=camjax.HiResCAM())
"""

from __future__ import annotations

from typing import Any

from camjax._layers import split
from camjax._model import Model
from camjax.methods import GradCAM, Method
from camjax.testing import oracles, strategies
from camjax.testing._claims import CLAIMED, CLAIMED_WHERE, IMPLIED, claimed
from camjax.testing._complete import Completeness, complete, completeness
from camjax.testing._invariants import chunked, finite, stacked, transformed
from camjax.testing._law import Law
from camjax.testing._laws import (
    common,
    dead,
    gauge,
    homogeneous,
    linear,
    local,
    mix,
    odd,
    permutation,
    scaled_heatmap,
    shift,
    shifted_heatmap,
    total,
)
from camjax.testing._networks import NETWORKS, tiny_network
from camjax.testing._setting import NotApplicable
from camjax.testing._structured import CLOSED, flipped, pooled, pooled_total, precision, spatial, sums_to_score
from camjax.testing._transformer import tiny_transformer

__all__ = [
    "CLAIMED",
    "CLAIMED_WHERE",
    "CLOSED",
    "IMPLIED",
    "INVARIANTS",
    "LAWS",
    "NETWORKS",
    "STRUCTURED",
    "Completeness",
    "Law",
    "NotApplicable",
    "check",
    "chunked",
    "claimed",
    "common",
    "complete",
    "completeness",
    "dead",
    "finite",
    "flipped",
    "gauge",
    "homogeneous",
    "linear",
    "local",
    "mix",
    "odd",
    "oracles",
    "permutation",
    "pooled",
    "pooled_total",
    "precision",
    "scaled_heatmap",
    "shift",
    "shifted_heatmap",
    "spatial",
    "stacked",
    "strategies",
    "sums_to_score",
    "tiny_network",
    "tiny_transformer",
    "total",
    "transformed",
]

LAWS: tuple[Law, ...] = (
    linear,
    shift,
    shifted_heatmap,
    homogeneous,
    scaled_heatmap,
    odd,
    gauge,
    mix,
    permutation,
    total,
    local,
    dead,
    common,
)
"""The laws that hold for some methods and not for others, whatever the model."""

INVARIANTS: tuple[Law, ...] = (finite, stacked, chunked, transformed)
"""The laws that hold for every method."""

STRUCTURED: tuple[Law, ...] = (pooled, pooled_total, sums_to_score, spatial, flipped, precision)
"""The laws about models of a certain structure; they raise `NotApplicable` for others."""


def check(model: Model, x: Any, *, method: Method | None = None, **setting: Any) -> list[str]:
    """Checks every law that should hold for a method on a model, and returns their names.

    These are the laws that are claimed for the method, the invariants of all methods, and of the laws about models of
    a certain structure those whose structure the model has.

    Args:
        model: any `camjax.Model`; one in float64 is checked to 1e-9, others to 2e-4, relative to the largest value.
        x: a batch, its axis first; two or three small examples will do.
        method: as for `camjax.explain`; for a method of your own only the invariants are known to hold.
        **setting: `layer`, `seed` and `rtol`, as for each law.

    Raises:
        AssertionError: in words, for the first law that does not hold.
    """
    method = GradCAM() if method is None else method
    setting["layer"] = split(model, x, setting.get("layer"))  # one cut, so that all laws share compiled programs
    where = tuple(law for law, kinds in CLAIMED_WHERE.items() if type(method) in kinds)
    held = []
    for law in (*claimed(method), *INVARIANTS, *where):
        try:
            law(model, x, method=method, **setting)
        except NotApplicable:  # the model is not of the kind that the law is about
            continue
        held.append(law.__name__)
    return held
