"""Weights in Flax layout: which parameters are turned once, at conversion, and which where they are used.

XLA's CPU backend runs a convolution with kernels in torch's order about twice as slow as with [*space, in,
out].
"""

from __future__ import annotations

from typing import Any

from torch.fx import Graph, Node

from camjax_torch.ops._table import name_of

KERNEL = {
    "linear.default": (1, 0),
    "conv1d.default": (2, 1, 0), "conv1d.padding": (2, 1, 0),
    "conv2d.default": (2, 3, 1, 0), "conv2d.padding": (2, 3, 1, 0),
    "conv3d.default": (2, 3, 4, 1, 0), "conv3d.padding": (2, 3, 4, 1, 0),
    "conv_transpose1d.default": (2, 0, 1),
    "conv_transpose2d.input": (2, 3, 0, 1),
    "conv_transpose3d.input": (2, 3, 4, 0, 1),
}  # fmt: skip
"""For each operation whose second argument is a kernel: the order in which the table wants torch's axes."""


def kernel_order(node: Node) -> tuple[int, ...] | None:
    """How the node's kernel (its second argument) is turned, None for an operation without one."""
    name = name_of(node.target)
    if name != "convolution.default":
        return KERNEL.get(name)
    arguments: Any = node.args
    axes, transposed = len(arguments[3]), arguments[6]
    space = tuple(range(2, 2 + axes))
    return (*space, 0, 1) if transposed else (*space, 1, 0)


def transposes(node: Node) -> bool:
    """Whether the node is the transpose in which torch's decomposition of a linear layer wraps its weight."""
    name = name_of(node.target)
    return name == "t.default" or (name == "permute.default" and node.args[1] == [1, 0])


def stored_orders(graph: Graph) -> dict[Node, tuple[int, ...]]:
    """The placeholders all of whose uses want one and the same turned layout, and that layout.

    A parameter that is also used otherwise (an embedding tied to a linear layer) is kept as torch has it.
    """
    orders: dict[Node, tuple[int, ...]] = {}
    for node in graph.nodes:
        if node.op != "placeholder" or not node.users:
            continue
        wanted = {_order_in(user, node) for user in node.users}
        order = next(iter(wanted))
        if len(wanted) == 1 and order is not None:
            orders[node] = order
    return orders


def _order_in(user: Node, parameter: Node) -> tuple[int, ...] | None:
    """The layout in which `user` wants the parameter; None: as it is."""
    if user.op != "call_function":
        return None
    order = kernel_order(user)
    if order is not None and [a is parameter for a in user.all_input_nodes].count(True) == 1:
        return order if user.args[1] is parameter else None
    return (1, 0) if transposes(user) else None
