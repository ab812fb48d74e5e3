"""A pretrained network from a layer on, fed with the layer's feature maps of real photos.

The feature maps are computed once per test run, and what follows the layer is compiled once for all methods that
explain the same target. So methods that see no more than the head are compared at the price of one gradient of it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import camjax
from camjax.methods import CoarseMap, Method
from camjax.methods._contract import needs_of
from camjax.trace import traced
from tests import data
from tests.parity.converted import converted


@dataclasses.dataclass(frozen=True)
class Together:
    """Several methods' maps below one another, from one evaluation of what they need."""

    methods: tuple[Method, ...]
    grid: ClassVar[str] = "own"

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(need for method in self.methods for need in needs_of(method)))

    def __call__(self, **given: Any) -> CoarseMap:
        maps = [method(**{need: given[need] for need in needs_of(method)}).raw for method in self.methods]
        return CoarseMap(jnp.concatenate(maps))


@functools.cache
def _features(name: str, layer: str, dtype: str, files: tuple[str, ...]) -> tuple[camjax.Split, Any, Any]:
    network, model = converted(name, dtype)
    paths = [data.data_dir() / "imagenet100" / file for file in files]
    x = jnp.asarray(data.batch(paths, network.style, "NCHW").astype(dtype))
    split = traced(model, x[:1]).split(layer)
    params = split.bound(model.params)
    # No loop here or below: XLA's convolutions are slow in one, on a CPU.
    found = jax.jit(jax.vmap(lambda params, one: split.features(params, one[None]), (None, 0)))(params, x)
    return split, params, jax.block_until_ready(found)


def raw_maps(
    name: str, layer: str, dtype: str, files: Sequence[str], target: Any, methods: Mapping[str, Method]
) -> dict[str, np.ndarray]:
    """The raw maps [N, h, w] of each method for the network's photos, by `camjax.explain` from the layer on."""
    with jax.enable_x64(dtype == "float64"):
        split, params, given = _features(name, layer, dtype, tuple(map(str, files)))

        def features(params: Any, given: Any) -> Any:
            return jax.tree.map(lambda leaf: leaf[0], given)  # one axis too many: the batch of one, mapped over

        def apply(params: Any, given: Any) -> Any:
            return split.head(params, *features(params, given))

        start = camjax.Split(features, split.head, split.axes, split.batched, name=layer)
        chosen = Together(tuple(methods.values()))
        model = camjax.Model(apply, params)
        found = np.asarray(camjax.explain(model, given, target, layer=start, method=chosen, size=None, chunk=1024).raw)
    return dict(zip(methods, np.split(found, len(methods), 1), strict=True))
