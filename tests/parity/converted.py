"""The pretrained networks as camjax models, converted once per test run."""

from __future__ import annotations

import functools

import camjax_torch
import torch

import camjax
from tests.parity.networks import NETWORKS, Network

BY_NAME = {network.name: network for network in NETWORKS}


@functools.cache
def converted(name: str, dtype: str = "float32") -> tuple[Network, camjax.Model]:
    """A network of `NETWORKS`, by its name, with the model that camjax makes of it."""
    network = BY_NAME[name]
    example = torch.zeros(2, 3, 224, 224, dtype=getattr(torch, dtype))
    return network, camjax_torch.from_torch(network.load(dtype), example)
