"""Hypothesis strategies for small random models, inputs and targets; they shrink towards the simplest.

>>> from hypothesis import given, settings
>>> import camjax
>>> from camjax import testing
>>> from camjax.testing import strategies
>>> @settings(max_examples=2)
... @given(model=strategies.models(["pooled", "residual"]), x=strategies.pictures())
... def test_my_method_is_linear_in_the_score(model, x):
...     testing.linear(model, x, method=camjax.HiResCAM())
>>> test_my_method_is_linear_in_the_score()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from camjax import targets as t
from camjax._model import Model
from camjax.testing._networks import COLOURS, NETWORKS, SIZE, tiny_network

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

SEEDS = 2**32 - 1


def models(kinds: Sequence[str] = NETWORKS, *, channels: int = 5, classes: int = 3) -> SearchStrategy[Model]:
    """Networks of these kinds with random weights, as `tiny_network` makes them, for `pictures()`.

    All networks of one kind share their compiled programs, so that a test compiles once for each.

    Args:
        kinds: of "pooled", "plain", "dense", "residual" and "transformer".
        channels: of the feature maps.
        classes: how many.

    Raises:
        ImportError: hypothesis is not installed.
        ValueError: for another kind.
    """
    st = _strategies()
    for kind in kinds:
        if kind not in NETWORKS:
            raise ValueError(f"kinds: got {kind!r}, expected names out of {', '.join(map(repr, NETWORKS))}.")
    of = st.sampled_from(list(kinds))
    return st.builds(lambda kind, seed: tiny_network(kind, seed, channels=channels, classes=classes), of, seeds())


def pictures(batch: int = 2) -> SearchStrategy[Any]:
    """Batches `[batch, 4, 4, 3]`: normal noise, or what is difficult: zeros, a constant, one pixel, large values."""
    shape = (batch, SIZE, SIZE, COLOURS)
    forms = {
        "noise": lambda noise: noise,
        "zeros": np.zeros_like,
        "constant": lambda noise: np.broadcast_to(noise[:, :1, :1], noise.shape),
        "pixel": lambda noise: noise * (np.arange(SIZE * SIZE).reshape(1, SIZE, SIZE, 1) == SIZE + 1),
        "large": lambda noise: 1e4 * noise,
    }

    def made(form: str, seed: int) -> Any:
        return jnp.asarray(forms[form](np.random.default_rng(seed).normal(size=shape)), float)

    return _strategies().builds(made, _strategies().sampled_from(list(forms)), seeds())


def targets(classes: int = 3, batch: int = 2) -> SearchStrategy[Any]:
    """What `explain` takes for `target=`: nothing, a class, one for each example, several, top k, negated, a contrast.

    Args:
        classes: how many the model has.
        batch: how many examples.
    """
    st = _strategies()
    one = st.integers(0, classes - 1)
    several = st.lists(st.lists(one, min_size=2, max_size=2), min_size=batch, max_size=batch)
    return st.one_of(
        one,
        st.none(),
        st.lists(one, min_size=batch, max_size=batch),
        several,
        st.integers(1, classes).map(t.top),
        one.map(t.negated),
        one.map(t.probability),
        st.permutations(range(classes)).map(lambda order: t.contrast(order[0], order[1])),
    )


def seeds() -> SearchStrategy[int]:
    """What a law's `seed` may be."""
    return _strategies().integers(0, SEEDS)


def _strategies() -> Any:
    try:
        from hypothesis import strategies
    except ImportError as error:
        raise ImportError("camjax.testing.strategies needs hypothesis: pip install hypothesis") from error
    return strategies
