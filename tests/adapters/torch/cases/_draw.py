"""Random arguments for torch operations."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Case = st.SearchStrategy[Arguments]


def tensor(*shape: int, low: float = -3.0, high: float = 3.0, dtype: torch.dtype = torch.float32):
    """A tensor of the shape, uniform between bounds (integers: both included)."""

    def make(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        if dtype is torch.bool:
            return torch.rand(shape, generator=generator) < 0.5
        if not dtype.is_floating_point:
            return torch.randint(int(low), int(high) + 1, shape, generator=generator, dtype=dtype)
        return (torch.rand(shape, generator=generator) * (high - low) + low).to(dtype)

    return st.integers(0, 2**31).map(make)


def case(*args: Any, **kwargs: Any) -> Case:
    """The arguments, each a strategy or a plain value."""

    def strategy(value: Any) -> st.SearchStrategy[Any]:
        return value if isinstance(value, st.SearchStrategy) else st.just(value)

    positional = st.tuples(*map(strategy, args))
    return st.tuples(positional, st.fixed_dictionaries({k: strategy(v) for k, v in kwargs.items()}))


def any_of(*cases: Case) -> Case:
    """One of several kinds of arguments."""
    return st.one_of(*cases)
