"""From a torch module to a camjax model: the graph becomes a program, the weights arrays in Flax layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

import camjax
from camjax_torch._export import as_input, export, lower
from camjax_torch._layout import stored_orders
from camjax_torch._translate import translate
from camjax_torch.ops.dtypes import jax_dtype

if TYPE_CHECKING:
    from jaxtyping import Array


def from_torch(
    module: torch.nn.Module,
    example: Any,
    labels: Sequence[str] | None = None,
    preprocess: camjax.Preprocess | None = None,
) -> camjax.Model:
    """The torch module, in evaluation mode, as a JAX function with its parameters.

    The module is exported by `torch.export` and each ATen operation becomes a JAX function. Layers keep
    their torch paths (`layer4.1.conv1`), inputs and outputs torch's layout (NCHW), and any batch size is
    accepted. The weights are copied, kernels in Flax layout (HWIO, [in, out]), into a flat dict under
    torch's names; what no output depends on (an auxiliary head in training, a counter of batches) is left
    out. The module itself is not changed.

    Args:
        module: any `torch.nn.Module` that `torch.export` accepts.
        example: an input with the batch axis first: a tensor, a tuple (positional arguments) or a dict
            (keyword arguments) of tensors; the model then takes `x` in the same structure. Only shapes and
            dtypes matter, every axis but the first is fixed by them.
        labels: the names of the classes, in the order of the logits.
        preprocess: how a picture becomes an input.

    Returns:
        A `camjax.Model`; parameters and outputs have the dtypes of the module.

    Raises:
        ValueError: `torch.export` cannot turn the module into a graph, or it computes in 64 bits and JAX
            does not.
        NotImplementedError: operations that no JAX function is known for; all of them, and the modules they
            are in.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Flatten())
        >>> model = from_torch(module, torch.zeros(1, 3, 5, 5))
        >>> model(jax.numpy.zeros((4, 3, 5, 5))).shape, model.params["0.weight"].shape
        ((4, 72), (3, 3, 3, 8))
    """
    if not isinstance(module, torch.nn.Module):
        raise TypeError(
            f"from_torch: module must be a torch.nn.Module, got {type(module).__name__}; for a file of "
            "weights use camjax_torch.load(path, arch=...)."
        )
    args, kwargs = _arguments(example)
    exported = export(module, args, kwargs)
    return from_exported(exported, labels=labels, preprocess=preprocess)


def from_exported(
    exported: ExportedProgram,
    labels: Sequence[str] | None = None,
    preprocess: camjax.Preprocess | None = None,
) -> camjax.Model:
    """A program of `torch.export` as a camjax model.

    With a dynamic first axis it takes any batch size, else its own alone. Positional arguments become `x`
    itself (one) or a tuple, keyword arguments a dict. Raises as
    `from_torch` does.

    Example:
        >>> exported = torch.export.export(torch.nn.ReLU(), (torch.zeros(2, 3),))
        >>> from_exported(exported)(jax.numpy.ones((2, 3))).shape
        (2, 3)
    """
    exported = lower(exported)
    params = _parameters(exported)
    program = translate(exported)
    # an option that one of the operations does not know is found here, not in the first explanation
    leaves = [node.meta["val"] for node in exported.graph.nodes if node.name in exported.graph_signature.user_inputs]
    jax.eval_shape(program, params, as_input(exported, [_shape(leaf) for leaf in leaves]))
    return camjax.Model(program, params, None if labels is None else tuple(labels), preprocess)


def _shape(fake: torch.Tensor) -> jax.ShapeDtypeStruct:
    """The shape of an example input, two for an axis of any length."""
    if fake.dtype is torch.float64:
        _refuse_64_bits("the example")
    return jax.ShapeDtypeStruct([s if isinstance(s, int) else 2 for s in fake.shape], jax_dtype(fake.dtype))


def _arguments(example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The example as positional and keyword arguments."""
    if isinstance(example, Mapping):
        args, kwargs = (), dict(example)
    else:
        args, kwargs = (example if isinstance(example, tuple) else (example,)), {}
    leaves = jax.tree.leaves((args, kwargs))
    wrong = [leaf for leaf in leaves if not isinstance(leaf, torch.Tensor) or leaf.ndim == 0]
    if wrong or not leaves:
        got = f"a {type(wrong[0]).__name__}" if wrong else "nothing"
        raise TypeError(
            "from_torch: example must be a tensor, or a tuple or dict of tensors, with the batch axis first; "
            f"got {got}. For an image network: torch.zeros(1, 3, 224, 224)."
        )
    sizes = [len(leaf) for leaf in leaves]
    if len(set(sizes)) > 1 or 0 in sizes:
        raise ValueError(f"from_torch: the tensors of the example must have one batch size, at least 1; got {sizes}.")
    return args, kwargs


def _parameters(exported: ExportedProgram) -> dict[str, Array]:
    """Every parameter, buffer and constant that the graph uses, by its torch name, kernels turned."""
    stored = stored_orders(exported.graph)
    specs = {spec.arg.name: spec for spec in exported.graph_signature.input_specs}
    params = {}
    for node in exported.graph.nodes:
        if node.op == "placeholder" and node.users and specs[node.name].kind is not InputKind.USER_INPUT:
            name = str(specs[node.name].target)
            tensor = exported.state_dict.get(name, exported.constants.get(name))
            if not isinstance(tensor, torch.Tensor):
                raise NotImplementedError(
                    f"from_torch: the module holds {name}, a {type(tensor).__name__}, not a tensor."
                )
            if tensor.dtype is torch.float64 and specs[node.name].kind is InputKind.PARAMETER:
                _refuse_64_bits(name)
            params[name] = _array(tensor, stored.get(node))
    return params


def _array(tensor: torch.Tensor, order: tuple[int, ...] | None) -> Array:
    """A copy of a tensor, its axes in another order; one copy, as the largest weights decide the peak of memory."""
    tensor = tensor.detach()
    turned = tensor.cpu() if order is None else tensor.cpu().permute(order)
    own = turned.contiguous()
    if own.data_ptr() == tensor.data_ptr():
        own = own.clone()  # else the module's training would train the model
    dtype = jax_dtype(own.dtype)
    if own.dtype is torch.bfloat16:  # which NumPy has from JAX, not from torch
        array = own.view(torch.int16).numpy().view(dtype)
    else:
        array = own.numpy().astype(dtype, copy=False)
    return jax.device_put(array)  # the copy's own memory; jnp.array would compile a program for each shape


def _refuse_64_bits(what: str) -> None:
    if not jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue] (made at run time)
        raise ValueError(
            f"from_torch: {what} is float64 and JAX computes in 32 bits; call module.float() (and .float() on "
            'the example), or switch 64 bits on first: jax.config.update("jax_enable_x64", True).'
        )
