"""From a torch module to a graph of ATen operations that the table knows."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import jax
import torch
from torch.export import Dim, ExportedProgram
from torch.fx import Graph, Node
from torch.fx.experimental.symbolic_shapes import free_unbacked_symbols

from camjax_torch._alias import in_place_writes
from camjax_torch.ops import TABLE, function_of, name_of

IGNORED = {"_assert_scalar.default", "_assert_async.msg", "sym_constrain_range_for_size.default",
           "sym_constrain_range.default", "_assert_tensor_metadata.default"}  # fmt: skip
"""Checks that torch adds to a graph; they compute nothing."""

CONTROL_FLOW = {"cond", "while_loop"}
"""Torch's own branches and loops on values."""


@contextlib.contextmanager
def evaluation(module: torch.nn.Module) -> Iterator[None]:
    """The module in evaluation mode, each of its parts put back afterwards as it was.

    Torch's fused transformer encoder, which has no decomposition, is off inside.
    """
    modes = [(part, part.training) for part in module.modules()]
    fused = torch.backends.mha.get_fastpath_enabled()
    try:
        module.eval()
        torch.backends.mha.set_fastpath_enabled(False)
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for part, training in modes:
            part.training = training


def export(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ExportedProgram:
    """Export with a dynamic batch axis, from a batch of two: torch bakes in an axis of length one.

    `args` or `kwargs` is empty.
    """

    def pair(leaf: Any) -> Any:
        single = isinstance(leaf, torch.Tensor) and len(leaf) == 1
        return leaf.repeat(2, *(1,) * (leaf.ndim - 1)) if single else leaf

    batch = Dim("batch")
    args, kwargs = jax.tree.map(pair, (args, kwargs))
    shapes = jax.tree.map(lambda leaf: {0: batch} if isinstance(leaf, torch.Tensor) else None, kwargs or args)
    with evaluation(module), warnings.catch_warnings():
        # what torch.export warns about on its way (deprecations inside torch) is not the user's to mend
        warnings.simplefilter("ignore")
        try:
            return torch.export.export(module, args, kwargs, dynamic_shapes=shapes)
        except Exception as error:
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise ValueError(
                f"from_torch: torch.export cannot turn {type(module).__name__} into a graph with a free "
                f"batch axis: {reason.strip()}\nCommon reasons: control flow that depends on values, or a "
                "batch size written into the code. torch.export.export(module.eval(), (example,)) shows "
                "torch's full report."
            ) from error


def unsupported(graph: Graph) -> dict[str, list[str]]:
    """The operations that the table lacks, and the modules that use them."""
    missing: dict[str, list[str]] = {}
    for node in graph.nodes:
        if node.op == "call_function":
            name = name_of(node.target)
            if function_of(name) is None and name not in IGNORED:
                missing.setdefault(str(node.target), []).append(_place(node))
    return missing


def refuse_what_values_decide(graph: Graph) -> None:
    """Branches and loops that stay in the graph, and shapes that only the values tell (a mask as an index)."""
    found, sizes = [], set()
    for node in graph.nodes:
        new = free_unbacked_symbols(node.meta.get("val", ())) - sizes
        sizes |= new
        if name_of(node.target) in CONTROL_FLOW:
            found.append(f"{node.target} in {_place(node)}: values decide what is computed")
        elif new:
            found.append(f"{node.target} in {_place(node)}: values decide the shape of its result")
    if found:
        raise NotImplementedError(
            "from_torch: the module's course depends on values, and a traced program has one course for all:\n  "
            + "\n  ".join(found)
            + "\nCompute both branches and choose by torch.where; use a mask as a factor, not as an index."
        )


def _place(node: Node) -> str:
    """The path of the module that the node belongs to."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return stack[-1][0] if stack and stack[-1][0] else "the module itself"


def lower(exported: ExportedProgram) -> ExportedProgram:
    """The same program in operations of the table: as exported where it can be, else decomposed by torch.

    Only what the table lacks is decomposed: a linear layer stays one operation.
    """
    refuse_what_values_decide(exported.graph)
    if not unsupported(exported.graph) and in_place_writes(exported.graph) is not None:
        return exported
    decompositions = torch.export.default_decompositions()
    for operation in list(decompositions):
        if name_of(operation) in TABLE:
            del decompositions[operation]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lowered = exported.run_decompositions(decompositions)
    missing = unsupported(lowered.graph)
    if missing:
        listed = "\n".join(f"  {op} in {', '.join(sorted(set(places)))}" for op, places in sorted(missing.items()))
        raise NotImplementedError(
            f"from_torch: no JAX function is known for {len(missing)} of the module's operations:\n{listed}\n"
            "Enter one in the table with camjax_torch.op(NAME), or replace these modules before converting."
        )
    return lowered


def as_input(exported: ExportedProgram, leaves: list[Any]) -> Any:
    """Values for the program's inputs, in torch's order, in the structure of the model's `x`."""
    structure = exported.call_spec.in_spec
    if structure is None:
        raise ValueError(
            "from_exported: the program states no structure of its inputs; export it again with torch.export."
        )
    args, kwargs = structure.unflatten(leaves)
    if kwargs and not args:
        return dict(kwargs)
    values = (*args, *kwargs.values())
    return values[0] if len(values) == 1 else values
