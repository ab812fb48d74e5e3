"""Fusions: one map from the maps of several layers.

A fusion takes the raw maps of the layers, each at its own layer's resolution, and a function that upsamples a map to
the largest of them; it returns one map there. Pass one of these, or your own, as `fusion=` to `camjax.explain`
together with several layers:

>>> import camjax, jax.numpy as jnp
>>> maps = [jnp.array([[4.0, 0.0], [2.0, 0.0]]), jnp.array([[1.0]])]
>>> product(maps, lambda map: jnp.broadcast_to(map, (2, 2)))
Array([[1. , 0. ],
       [0.5, 0. ]], dtype=float32)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from camjax._postprocess import normalised

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Maps = Sequence[Float[Array, "..."]]
    Resize = Callable[[Float[Array, "..."]], Float[Array, "*space"]]

Fusion = Callable[["Maps", "Resize"], "Float[Array, '*space']"]


def mean(maps: Maps, resize: Resize) -> Float[Array, "*space"]:
    """The mean of the layers' maps, each brought to 0..1 first, so that every layer has one vote."""
    return jnp.mean(jnp.stack(_scaled(maps, resize)), 0)


def maximum(maps: Maps, resize: Resize) -> Float[Array, "*space"]:
    """The largest of the layers' maps at each position, each brought to 0..1 first."""
    return jnp.max(jnp.stack(_scaled(maps, resize)), 0)


def total(maps: Maps, resize: Resize) -> Float[Array, "*space"]:
    """The plain sum of the raw maps, negative evidence included; odd and linear where the method is."""
    return jnp.sum(jnp.stack([resize(map) for map in maps]), 0)


def product(maps: Maps, resize: Resize) -> Float[Array, "*space"]:
    """RefineCAM's fusion: prod_l U(norm relu M_l). Coarse layers say what, fine ones where; a veto of any counts."""
    return jnp.prod(jnp.stack(_scaled(maps, resize)), 0)


def layercam(maps: Maps, resize: Resize) -> Float[Array, "*space"]:
    """LayerCAM's fusion (Jiang et al., TIP 2021): shallow maps scaled by tanh(2 M / max M), then the maximum.

    Every layer but the last (the coarsest, given last) counts as shallow.
    """
    scaled = _scaled(maps, lambda map: map)
    shallow = [jnp.tanh(2 * map) for map in scaled[:-1]]
    return jnp.max(jnp.stack([resize(map) for map in (*shallow, scaled[-1])]), 0)


def _scaled(maps: Maps, resize: Resize) -> list[Float[Array, "*space"]]:
    return [resize(normalised(jax.nn.relu(map), "max")) for map in maps]


FUSIONS: dict[str, Fusion] = {
    "mean": mean,
    "max": maximum,
    "sum": total,
    "product": product,
    "layercam": layercam,
}
"""The fusions by name, as `fusion=` takes them."""
