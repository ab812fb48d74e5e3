"""A lowered graph as a program: one step per operation, its arguments by name, its kernels in Flax layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node

from camjax_torch._alias import in_place_writes
from camjax_torch._export import IGNORED, as_input
from camjax_torch._layout import kernel_order, stored_orders, transposes
from camjax_torch._program import Input, Program, Ref, Step, Turned
from camjax_torch._scopes import computes_nothing, scopes_of
from camjax_torch.ops import is_in_place, name_of
from camjax_torch.ops.dtypes import dtype_name


def translate(exported: ExportedProgram) -> Program:
    """The program of a graph that `lower` made."""
    graph = exported.graph
    same = in_place_writes(graph)
    if same is None:
        raise NotImplementedError("from_torch: torch left a write through a view in the graph, which has no pure form.")
    specs = {spec.arg.name: spec for spec in exported.graph_signature.input_specs}
    stored, silent = stored_orders(graph), computes_nothing(graph)
    names = {node: same[node].name for node in graph.nodes}
    steps, parameters, inputs = [], [], []
    for node in graph.nodes:
        if node.op == "placeholder":
            if specs[node.name].kind is InputKind.USER_INPUT:
                inputs.append(Input(node.name, _free_axes(node)))
            elif node.users:
                parameters.append((node.name, str(specs[node.name].target)))
        elif node.op == "call_function" and name_of(node.target) not in IGNORED:
            steps.append(_step(node, names, stored, marker=node in silent))
    return Program(tuple(steps), tuple(parameters), as_input(exported, inputs), _outputs(exported, names))


def _free_axes(node: Node) -> tuple[int | None, ...]:
    """The shape of an input, None for the axes that the export left free."""
    return tuple(size if isinstance(size, int) else None for size in node.meta["val"].shape)


def _step(node: Node, names: Mapping[Node, str], stored: Mapping[Node, tuple[int, ...]], marker: bool) -> Step:
    args, kwargs = _named(list(node.args), names), _named(dict(node.kwargs), names)
    operation, in_place = name_of(node.target), is_in_place(node.target)
    order = kernel_order(node)
    if order is not None and node.args[1] not in stored:
        args[1] = Turned(args[1].name, order)
    if transposes(node) and node.args[0] in stored:
        operation, args = "alias.default", args[:1]
    return Step(names[node], operation, tuple(args), kwargs, scopes_of(node), in_place, marker)


def _named(argument: Any, names: Mapping[Node, str]) -> Any:
    """Nodes and dtypes by their names, in the nested lists and dicts that a node's arguments are."""
    if isinstance(argument, Node):
        return Ref(names[argument])
    if isinstance(argument, torch.dtype):
        return dtype_name(argument)
    if isinstance(argument, torch.device | torch.layout | torch.memory_format):
        return None  # which mean nothing to JAX
    if isinstance(argument, list | tuple):
        return [_named(item, names) for item in argument]
    if isinstance(argument, dict):
        return {key: _named(item, names) for key, item in argument.items()}
    return argument


def _outputs(exported: ExportedProgram, names: Mapping[Node, str]) -> Any:
    """The tree of the module's outputs; mappings of any kind become dicts."""
    values: Any = exported.graph.output_node().args[0]
    leaves = [
        _named(value, names)
        for value, spec in zip(values, exported.graph_signature.output_specs, strict=True)
        if spec.kind is OutputKind.USER_OUTPUT
    ]
    structure = exported.call_spec.out_spec
    return leaves if structure is None else _plain(structure.unflatten(leaves))


def _plain(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _plain(item) for key, item in tree.items()}
    if isinstance(tree, list | tuple):
        items = [_plain(item) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return tree
