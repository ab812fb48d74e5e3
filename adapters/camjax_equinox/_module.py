"""Equinox: the module is put together inside `apply`, from classes that open scopes, and mapped over the batch."""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.tree_util as jtu

from camjax import Model, Preprocess
from camjax.adapting import Apply, Calls, Inputs, is_forward, scope_name

_calls: contextvars.ContextVar[Calls | None] = contextvars.ContextVar("camjax_equinox_calls", default=None)


def from_equinox(
    module: eqx.Module,
    *,
    state: eqx.nn.State | None = None,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    method: str = "__call__",
    **call_kwargs: Any,
) -> Model:
    """An Equinox module as a `camjax.Model`, in inference mode.

    Equinox modules take one example; `apply(params, x)` maps the module over the batch axis of `x`. The module stays as
    it is: `apply` works on a copy in which `eqx.nn.inference_mode` is on. Layers are addressed by their path in the
    module (`blocks.0.conv`, `layers.2`), methods other than `__call__` by the path and their name.

    Args:
        module: the module. Its arrays are the model's leaves.
        state: for stateful modules (BatchNorm), what `eqx.nn.make_with_state` returned beside it: it is handed on as
            `state=` and, like the arrays, is among the leaves; what the call returns as the new state is dropped.
        labels: the names of the classes, in the order of the logits.
        preprocess: how a picture becomes `x`; Equinox's convolutions want the channels first.
        method: the name of the method to explain.
        **call_kwargs: passed on to every call of the method. A required `key` gets None: inference draws nothing. A
            method that needs several inputs gets them from the tuple (or mapping) `x`.

    Raises:
        TypeError: `module` is no Equinox module, the method's arguments do not fit, or a state is missing.

    Example:
        >>> import jax.numpy as jnp
        >>> model = from_equinox(eqx.nn.Linear(4, 3, key=jax.random.key(0)))
        >>> model(jnp.ones((2, 4))).shape
        (2, 3)
    """
    if not isinstance(module, eqx.Module):
        got = f"the class {module.__name__}; create an instance" if isinstance(module, type) else type(module).__name__
        raise TypeError(f"from_equinox: module must be an equinox.Module instance, got {got}.")
    function = getattr(type(module), method, None)
    if not callable(function):
        raise TypeError(f"from_equinox: method={method!r} is no method of {type(module).__name__}; give one's name.")
    takes = inspect.signature(function).parameters
    if "key" in takes and takes["key"].default is inspect.Parameter.empty:
        call_kwargs = {"key": None} | call_kwargs
    wants_state = "state" in takes and takes["state"].default is inspect.Parameter.empty
    if wants_state and state is None:
        raise TypeError(
            f"from_equinox: {type(module).__name__} is stateful; pass state=, the second thing that "
            "eqx.nn.make_with_state(...) returns (after training: the last state)."
        )
    settings = call_kwargs | ({"state": state} if wants_state else {})
    inputs = Inputs(function, settings, adapter="from_equinox", name=f"{type(module).__name__}.{method}")
    copy = eqx.nn.inference_mode((module, state if wants_state else None))
    params, static = eqx.partition(copy, eqx.is_array)

    def run(params: Any, x: Any) -> Any:
        module, state = eqx.combine(params, static)
        own = _scoped_tree(module, method)

        def one(x: Any) -> Any:
            args, kwargs = inputs(x)
            if wants_state:
                return getattr(own, method)(*args, **{**kwargs, "state": state})[0]
            return getattr(own, method)(*args, **kwargs)

        token = _calls.set(Calls())
        try:
            return jax.vmap(one)(x)
        finally:
            _calls.reset(token)

    leaves, tree = jax.tree.flatten(static)
    return Model(
        Apply(run, tree, tuple(leaves), method, *sorted(call_kwargs.items(), key=lambda item: item[0])),
        params,
        labels=None if labels is None else tuple(labels),
        preprocess=preprocess,
    )


def _scoped_tree(module: eqx.Module, entry: str, path: tuple[Any, ...] = ()) -> Any:
    """A copy of the tree of modules, each of a class whose methods open the scope of its path."""

    def below(keys: Any, leaf: Any) -> Any:
        inside = (*path, *(_key(key) for key in keys))
        return _scoped_tree(leaf, "", inside) if isinstance(leaf, eqx.Module) else leaf

    rebuilt = jtu.tree_map_with_path(
        below, module, is_leaf=lambda node: node is not module and isinstance(node, eqx.Module)
    )
    methods = _methods(type(module), entry)
    if not methods and not entry:  # it computes nothing: an index into the state, a container
        return rebuilt
    scoped = object.__new__(_scoped(type(module), path, methods))
    for name, value in vars(rebuilt).items():
        object.__setattr__(scoped, name, value)
    return scoped


def _methods(cls: type, entry: str) -> tuple[str, ...]:
    """The methods of a class that can be layers."""
    found = {name for base in cls.__mro__ if base not in eqx.Module.__mro__ for name in vars(base) if is_forward(name)}
    found -= {field.name for field in cls.__dataclass_fields__.values()}
    fields = (type, property, staticmethod, classmethod, functools.cached_property)
    return tuple(
        name
        for name in sorted(found - {entry})
        if callable(value := inspect.getattr_static(cls, name)) and not isinstance(value, fields)
    )


# JAX registers every Equinox class for good, so there must be one per class and path and not one per call.
@functools.cache
def _scoped(cls: type, path: tuple[Any, ...], methods: tuple[str, ...]) -> type:
    """A subclass whose `methods` open their scopes and then do what `cls` does."""

    def opened(name: str) -> Callable[..., Any]:
        function = getattr(cls, name)
        scope = scope_name(path, name)

        @functools.wraps(function)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            calls = _calls.get()
            if calls is None or not scope:
                return function(self, *args, **kwargs)
            return calls.run([scope], functools.partial(function, self), args, kwargs)

        return call

    return type(cls)(cls.__name__, (cls,), {"__module__": cls.__module__, **{name: opened(name) for name in methods}})


def _key(entry: Any) -> Any:
    return getattr(entry, "name", getattr(entry, "key", getattr(entry, "idx", entry)))
