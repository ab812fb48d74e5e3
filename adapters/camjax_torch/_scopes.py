"""The scopes of a node: one per module call around it, as camjax reads them."""

from __future__ import annotations

import re

from torch.fx import Graph, Node

from camjax_torch.ops._table import IDENTITIES, name_of


def scopes_of(node: Node) -> tuple[str, ...]:
    """`@path#call` of every module around the node, outermost first; the root has none.

    Torch's stack maps a key such as `L__self__layer1.0.relu@1` (second call) to (path, class).
    """
    scopes = []
    for key, (path, _) in (node.meta.get("nn_module_stack") or {}).items():
        if path and not path.startswith("_empty_nn_module_stack"):
            call = re.search(r"@(\d+)$", key)
            scopes.append(f"@{path.split('@')[0]}#{call.group(1) if call else 0}")
    return tuple(scopes)


def computes_nothing(graph: Graph) -> set[Node]:
    """The nodes that are all their module does and hand over their input: dropout in evaluation."""
    inside: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.op == "call_function":
            for scope in scopes_of(node):
                inside.setdefault(scope, []).append(node)
    return {
        node
        for nodes in inside.values()
        if all(name_of(node.target) in IDENTITIES for node in nodes)
        for node in nodes[-1:]
    }
