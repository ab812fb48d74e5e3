"""The models here are users' code, which may broadcast as NumPy does."""

import jax
import pytest


@pytest.fixture(autouse=True)
def users_code():
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield
