"""Where arrays lie: a batch's rows over all devices, and parameters in copies, or in parts by a rule of the user's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "data"


@dataclasses.dataclass(frozen=True)
class Sharding:
    """Parameters in parts, for models that do not fit on one device.

    The devices make a mesh with the axes `axes`, and before them `"data"`, over which a batch is divided, with as many
    devices as there are for it. The compiler divides the computation as the parameters are (tensor parallelism), and
    the results are the same to rounding.

    Args:
        rule: `rule(path, leaf)` gives each parameter's `jax.sharding.PartitionSpec`, with the names of `axes`. The path
            is that in the tree of parameters, such as `"layer4/0/conv1/kernel"`; the leaf has a shape and a dtype.
        axes: the mesh's axes and how many devices each has.

    Parameters that fit on no device must come as NumPy arrays; each device then gets its part alone.

    Example:
        >>> from jax.sharding import PartitionSpec
        >>> def rule(path, leaf):  # the last axis in four parts: of a kernel, its outputs
        ...     divides = leaf.ndim > 0 and leaf.shape[-1] % 4 == 0
        ...     return PartitionSpec(*[None] * (leaf.ndim - 1), "model") if divides else PartitionSpec()
        >>> Sharding(rule, {"model": 4}).axes
        {'model': 4}
    """

    rule: Callable[[str, Any], PartitionSpec]
    axes: Mapping[str, int]

    def __post_init__(self) -> None:
        if not callable(self.rule):
            raise ValueError(f"sharding: rule is a function of a parameter's path and leaf, got {self.rule!r}.")
        if AXIS in self.axes or not self.axes or any(not isinstance(n, int) or n < 1 for n in self.axes.values()):
            raise ValueError(
                f"sharding: axes gives each axis of the mesh but {AXIS!r} its number of devices, such as "
                f"{{'model': 4}}; got {dict(self.axes)}."
            )


@dataclasses.dataclass(frozen=True)
class Places:
    """The mesh of this process's devices, and what lies where in it."""

    mesh: Mesh
    sharding: Sharding | None

    @classmethod
    def of(cls, devices: Sequence[Any] | int | None, sharding: Sharding | None, batch: int) -> Places:
        """Those of so many devices of this process, or of these; all of them by default.

        Raises:
            ValueError: there are not so many, or the batch or the mesh cannot be made of them.
        """
        local = jax.local_devices()
        if isinstance(devices, int) and not 1 <= devices <= len(local):
            raise ValueError(f"devices: got {devices}, this process has {len(local)}.")
        found = local if devices is None else local[:devices] if isinstance(devices, int) else list(devices)
        axes = {} if sharding is None else dict(sharding.axes)
        rows, rest = divmod(len(found), math.prod(axes.values()))
        if rest or not rows:
            raise ValueError(f"sharding: {len(found)} devices cannot be arranged as {axes}, or several times so.")
        if batch % rows:
            parts = f"{len(found)} devices" if not axes else f"{rows} parts of {math.prod(axes.values())} devices"
            raise ValueError(
                f"batch: {batch} examples cannot be divided evenly among {parts}; use {-(-batch // rows) * rows}."
            )
        shape, auto = (rows, *axes.values()), jax.sharding.AxisType.Auto
        return cls(jax.make_mesh(shape, (AXIS, *axes), devices=found, axis_types=(auto,) * len(shape)), sharding)

    @property
    def devices(self) -> list[Any]:
        """All of the mesh's."""
        return list(self.mesh.devices.flat)

    @property
    def rows(self) -> NamedSharding:
        """A batch: its rows over the devices."""
        return NamedSharding(self.mesh, PartitionSpec(AXIS))

    def put(self, params: Any) -> Any:
        """The parameters on the devices.

        Raises:
            ValueError: the rule does not fit a parameter.
        """
        return jax.tree_util.tree_map_with_path(self._put, params)

    def _put(self, path: Any, leaf: Any) -> Any:
        if self.sharding is None:
            return jax.device_put(leaf, NamedSharding(self.mesh, PartitionSpec()))
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        spec = self.sharding.rule(name, leaf)
        if not isinstance(spec, PartitionSpec):
            raise ValueError(f"sharding: the rule gives a jax.sharding.PartitionSpec, for {name} it gave {spec!r}.")
        try:
            if len(spec) > len(leaf.shape):
                raise ValueError("it has more parts than the parameter has axes.")
            place = NamedSharding(self.mesh, spec)
            place.shard_shape(leaf.shape)
        except ValueError as error:
            raise ValueError(f"sharding: {name} {list(leaf.shape)} cannot be divided as {spec}: {error}") from error
        return jax.device_put(leaf, place)
