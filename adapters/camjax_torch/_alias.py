"""In-place operations: when each can be read as "from here on the name means the new value"."""

from __future__ import annotations

from typing import Any

from torch.fx import Graph, Node

from camjax_torch.ops._table import is_in_place


def in_place_writes(graph: Graph) -> dict[Node, Node] | None:
    """For every node, the first node that stands for the same tensor; None where views share what is written.

    `relu_(a)` writes `a`. Where nothing else that is still read shares the memory of `a`, evaluating relu
    and calling the result `a` from then on is the same. Otherwise (a slice of a tensor is written, and the
    tensor read) only torch's own functionalisation can say what each name holds; it costs several times the
    export, so it is the exception.
    """
    same: dict[Node, Node] = {}  # node -> the node whose whole tensor it is
    memory: dict[Node, Node] = {}  # node -> the node whose memory it shares, as a view or whole
    position = {node: i for i, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        source = node.args[0] if node.args and isinstance(node.args[0], Node) else None
        same[node] = memory[node] = node
        if node.op != "call_function" or source is None:
            continue
        if is_in_place(node.target):
            target = same[source]
            sharing = [n for n in memory if memory[n] is memory[target] and same[n] is not target]
            if any(position[user] > position[node] for n in sharing for user in n.users):
                return None
            same[node], memory[node] = target, memory[target]
        elif _may_share(node.target):
            memory[node] = memory[source]
    return same


def _may_share(target: Any) -> bool:
    """Whether the result may use the memory of the first argument: views, elements, inactive dropout."""
    if "getitem" in str(target) or "dropout" in str(target):
        return True
    schema = getattr(target, "_schema", None)
    return schema is not None and any(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns)
