"""The converted function: steps, each an operation of the table inside the scopes of its modules."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from camjax.adapting._scopes import IDENTITY
from camjax_torch.ops import function_of

if TYPE_CHECKING:
    from jaxtyping import Array


@dataclasses.dataclass(frozen=True)
class Ref:
    """An argument that is the value of an earlier step, a parameter or an input, by name."""

    name: str


@dataclasses.dataclass(frozen=True)
class Input:
    """An input array: its name in the steps, and its shape, with None for an axis of any length."""

    name: str
    shape: tuple[int | None, ...]

    def checked(self, value: Any) -> Array:
        """The value as an array, if it has the shape: torch has put the lengths of the other axes into the graph."""
        array = jnp.asarray(value)
        fits = len(array.shape) == len(self.shape) and all(
            own in (None, got) for own, got in zip(self.shape, array.shape, strict=True)
        )
        if not fits:
            expected = ", ".join("any" if size is None else str(size) for size in self.shape)
            raise ValueError(
                f"x: the module was converted for inputs of shape [{expected}] (batch first, in torch's layout), got "
                f"{array.shape}; pass that shape, or convert again with an example of the other."
            )
        return array


@dataclasses.dataclass(frozen=True)
class Turned:
    """A kernel argument in torch's layout (computed, or also used otherwise), turned at its use."""

    name: str
    order: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """`name = operation(*args, **kwargs)` inside `scopes`, outermost first.

    `operation`: its name in the table. `in_place`: the value has the dtype of the first argument, which it
    overwrites in torch. `marker`: the step is all that its module does, and it changes nothing.
    """

    name: str
    operation: str
    args: Any
    kwargs: Any
    scopes: tuple[str, ...]
    in_place: bool = False
    marker: bool = False

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """The step's value, from those of the earlier ones."""
        function = function_of(self.operation)
        if function is None:
            raise NotImplementedError(
                f"camjax_torch: no JAX function is known for {self.operation}; enter it with "
                f"camjax_torch.op({self.operation!r})."
            )
        args, kwargs = resolve(self.args, values), resolve(self.kwargs, values)
        value = function(*args, **kwargs)
        return value.astype(args[0].dtype) if self.in_place else value


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """`program(params, x)` evaluates the steps. It is data, holds no weights, and is equal to itself alone.

    `parameters`: (name in the steps, name in `params`); `inputs`: the structure of `x`, with an `Input` for each
    array; `outputs`: a tree of `Ref`s and constants.
    """

    steps: tuple[Step, ...]
    parameters: tuple[tuple[str, str], ...]
    inputs: Any
    outputs: Any

    def __call__(self, params: Mapping[str, Array], x: Any) -> Any:
        """The module's outputs."""
        inputs, structure = jax.tree.flatten(self.inputs)
        if jax.tree.structure(x) != structure:
            raise ValueError(
                f"x: the module was converted with an example of the structure {structure}, got "
                f"{jax.tree.structure(x)}; pass the same structure."
            )
        values: dict[str, Any] = {name: params[key] for name, key in self.parameters}
        values.update({i.name: i.checked(leaf) for i, leaf in zip(inputs, jax.tree.leaves(x), strict=True)})
        # inside, torch's promotion rules hold, whatever the caller asked of his own code
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            for step in self.steps:
                with contextlib.ExitStack() as stack:
                    for scope in step.scopes:
                        stack.enter_context(jax.named_scope(scope))
                    value = step(values)
                    values[step.name] = checkpoint_name(value, IDENTITY) if step.marker else value
        return resolve(self.outputs, values)


def resolve(tree: Any, values: Mapping[str, Any]) -> Any:
    """The arguments with the values that they name."""
    if isinstance(tree, Ref):
        return values[tree.name]
    if isinstance(tree, Turned):
        return values[tree.name].transpose(tree.order)
    if isinstance(tree, list | tuple):
        items = [resolve(item, values) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    if isinstance(tree, dict):
        return {key: resolve(item, values) for key, item in tree.items()}
    return tree
