"""The laws of every method on the models that adapters make."""

import numpy as np
import pytest

import camjax
from camjax import testing
from camjax.methods import METHODS
from camjax.methods._contract import needs_of
from tests.laws.tried import TRIED, quickly

EVERY = tuple(METHODS)


def pictures(channels_first=False):
    x = np.random.default_rng(3).normal(size=(2, 4, 4, 3)).astype(np.float32)
    return x.transpose(0, 3, 1, 2) if channels_first else x


def hold(model, x, name, one_size=False):
    """What is claimed for a method holds on a network that ends in an average and one matrix.

    `one_size`: the model takes no other size of input than that of `x`. What a model does not have is refused.
    """
    method = TRIED[name]
    with quickly(float64=False):
        options = {"method": method, "layer": camjax.split(model, x)}
        refusal = "attention" if "attention" in needs_of(method) else "converted for inputs of shape"
        if "attention" in needs_of(method) or (one_size and name == "cameras"):
            with pytest.raises(ValueError, match=refusal):
                testing.finite(model, x, **options)
            return
        for law in testing.claimed(method):
            law(model, x, **options)
        for law in (testing.pooled_total, testing.spatial):
            if type(method) in testing.CLAIMED_WHERE[law]:
                law(model, x, **options)
        if method in testing.CLOSED:
            testing.pooled(model, x, **options)
