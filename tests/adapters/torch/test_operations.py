"""Every operation of the table against torch, on random arguments."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from camjax_torch._layout import KERNEL
from camjax_torch.ops import TABLE
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adapters.torch.cases import CASES, UNINITIALISED


def operation(name: str) -> Any:
    packet, overload = name.split(".")
    return getattr(getattr(torch.ops.aten, packet), overload)


def kernel_order(name: str, args: tuple[Any, ...]) -> tuple[int, ...] | None:
    if name != "convolution.default":
        return KERNEL.get(name)
    return (2, 3, 0, 1) if args[6] else (2, 3, 1, 0)


def as_jax(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return jnp.asarray(value.numpy())
    return [as_jax(item) for item in value] if isinstance(value, list) else value


def assert_same(got: Any, expected: Any, name: str) -> None:
    if isinstance(expected, list | tuple):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            if one is not None:  # a place for what only a backward pass reads
                assert_same(one, other, name)
        return
    if not isinstance(expected, torch.Tensor):
        assert got == expected
        return
    assert got.shape == tuple(expected.shape)
    # JAX computes in 32 bits where torch has 64
    narrow = {"int64": "int32", "float64": "float32"}
    dtype = str(expected.dtype).removeprefix("torch.")
    assert str(got.dtype) == narrow.get(dtype, dtype)
    if name not in UNINITIALISED:
        tolerance = 2e-3 if dtype == "float16" else 3e-5
        np.testing.assert_allclose(got, expected.numpy(), rtol=tolerance, atol=tolerance)


def test_every_operation_has_a_case():
    assert set(CASES) | UNINITIALISED == set(TABLE)


@pytest.mark.parametrize("name", sorted(CASES))
@settings(max_examples=6)
@given(data=st.data())
def test_operation_is_torchs(name: str, data: st.DataObject):
    args, kwargs = data.draw(CASES[name])
    expected = operation(name)(*args, **kwargs)
    order = kernel_order(name, args)
    turned = [as_jax(argument) for argument in args]
    if order is not None:
        turned[1] = turned[1].transpose(order)
    got = TABLE[name](*turned, **kwargs)
    assert_same(got, expected, name)


@pytest.mark.parametrize("name", ["empty.memory_format", "new_empty.default", "empty_like.default"])
def test_uninitialised_arrays_have_torchs_shape_and_dtype(name: str):
    x = torch.ones(2, 3, dtype=torch.float16)
    args = {"empty.memory_format": ([2, 3],), "new_empty.default": (x, [2, 3]), "empty_like.default": (x,)}[name]
    assert_same(TABLE[name](*(as_jax(argument) for argument in args)), operation(name)(*args), name)


@pytest.mark.parametrize("name", ["relu.default", "hardtanh.default", "max_pool2d.default", "batch_norm.default"])
def test_differentiates_under_vmap(name: str):
    channel = jnp.ones(2)
    options = {
        "hardtanh.default": (0, 6),
        "max_pool2d.default": ([2, 2],),
        "batch_norm.default": (channel, channel, channel, channel, False, 0.1, 1e-5, False),
    }
    x = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def total(image):
        return (TABLE[name](image[None], *options.get(name, ())) ** 2).sum()

    torch_options = [torch.from_numpy(np.array(o)) if isinstance(o, jax.Array) else o for o in options.get(name, ())]
    operation(name)(x, *torch_options).square().sum().backward()
    got = jax.vmap(jax.grad(total))(jnp.asarray(x.detach().numpy()))
    assert x.grad is not None
    np.testing.assert_allclose(got, x.grad.numpy(), rtol=1e-5, atol=1e-6)
