"""Flax NNX: the module is split once and merged inside `apply`, into classes that open absolute scopes."""

from __future__ import annotations

import contextvars
import functools
import inspect
import types
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from camjax import Model, Preprocess
from camjax.adapting import Apply, Calls, Inputs, is_forward, scope_name

_calls: contextvars.ContextVar[Calls | None] = contextvars.ContextVar("camjax_flax_calls", default=None)


def from_nnx(
    module: nnx.Module,
    *,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    method: str = "__call__",
    **call_kwargs: Any,
) -> Model:
    """An NNX module as a `camjax.Model`, in evaluation mode.

    The module, its classes and its mode stay as they are: `apply` works on a copy, and what the copy's call
    changes (counters, statistics) is dropped. The model's leaves are the values of all variables as they are
    now. Random streams are no leaves: a copy in evaluation mode draws nothing, and where it does anyway it
    gets the same keys every time.

    Layers are addressed by attribute path (`blocks.0.conv`), methods other than `__call__` by the path and
    their name (`encoder.encode`). A module that is reachable by several paths is listed under each of them.

    Args:
        module: the module.
        labels: the names of the classes, in the order of the logits.
        preprocess: how a picture becomes `x`.
        method: the name of the method to explain.
        **call_kwargs: passed on to every call of the method (`train=False`). A method that needs several
            inputs gets them from the tuple (or mapping) `x`.

    Raises:
        TypeError: `module` is no NNX module, or the method's arguments do not fit.

    Example:
        >>> import jax.numpy as jnp
        >>> model = from_nnx(nnx.Linear(4, 3, rngs=nnx.Rngs(0)))
        >>> model(jnp.ones((2, 4))).shape
        (2, 3)
    """
    if not isinstance(module, nnx.Module):
        if isinstance(module, type):
            got = f"the class {module.__name__}; create an instance of it"
        else:
            got = f"{type(module).__name__}; a Linen module goes to camjax_flax.from_linen"
        raise TypeError(f"from_nnx: module must be a flax.nnx.Module instance, got {got}.")
    function = getattr(type(module), method, None)
    if not callable(function):
        raise TypeError(f"from_nnx: method={method!r} is no method of {type(module).__name__}; give one's name.")
    inputs = Inputs(function, call_kwargs, adapter="from_nnx", name=f"{type(module).__name__}.{method}")

    copy = nnx.merge(*nnx.split(module))
    copy.eval()
    for part, paths in _paths(copy):
        methods = _methods(type(part), paths, entry=method if part is copy else None)
        is_pytree = not jax.tree_util.all_leaves([part])
        # The class of one object of the copy; NNX would take an ordinary assignment for an attribute.
        object.__setattr__(part, "__class__", _scoped(type(part), methods, is_pytree))
    graphdef, streams, state = nnx.split(copy, nnx.RngState, ...)
    leaves, treedef = jax.tree.flatten(streams)
    like = tuple((leaf.shape, _is_key(leaf) and jax.random.key_impl(leaf)) for leaf in leaves)

    def run(params: Any, x: Any) -> Any:
        part = nnx.merge(graphdef, jax.tree.unflatten(treedef, _fixed(like)), params)
        args, kwargs = inputs(x)
        token = _calls.set(Calls())
        try:
            return getattr(part, method)(*args, **kwargs)
        finally:
            _calls.reset(token)

    return Model(
        Apply(run, graphdef, treedef, like, method, *sorted(call_kwargs.items(), key=lambda item: item[0])),
        nnx.to_pure_dict(state),
        labels=None if labels is None else tuple(labels),
        preprocess=preprocess,
    )


def _paths(module: nnx.Module) -> list[tuple[nnx.Module, list[tuple[Any, ...]]]]:
    """Each module of the tree with all the paths that lead to it; the first one is NNX's own.

    NNX lists a shared object once and, as duplicates, the other places where it met it; whatever is below is
    reachable through each of them. A path from a module to itself is left out.
    """
    shared = {first: rest for first, *rest in nnx.find_duplicates(module, only=nnx.Module)}

    def names(path: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        places = [path, *(other for other in shared.get(path, ()) if other[: len(path)] != path)]
        return [(*parent, place[-1]) for place in places for parent in names(place[:-1])] if path else [()]

    return [(part, names(path)) for path, part in nnx.iter_modules(module)]


def _methods(cls: type, paths: Sequence[tuple[Any, ...]], entry: str | None) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The methods of a class that can be layers, with the scopes that each of them opens."""
    own = set(nnx.Module.__mro__)
    found = {name: None for base in cls.__mro__ if base not in own for name in vars(base) if is_forward(name)}
    methods = []
    for name in sorted(found):
        value = inspect.getattr_static(cls, name)
        fields = (type, property, staticmethod, classmethod, functools.cached_property)
        if name == entry or not callable(value) or isinstance(value, fields):
            continue
        methods.append((name, tuple(scope for path in paths if (scope := scope_name(path, name)))))
    return tuple(methods)


# NNX and JAX register every class for good, so there must be one per class and path and not one per call.
@functools.cache
def _scoped(cls: type, methods: tuple[tuple[str, tuple[str, ...]], ...], pytree: bool) -> type:
    """A subclass whose `methods` open their scopes and then do what `cls` does."""

    def fill(namespace: dict[str, Any]) -> None:
        namespace.update(__module__=cls.__module__, __qualname__=cls.__qualname__, __doc__=cls.__doc__)
        namespace.update((name, opened(name, scopes)) for name, scopes in methods)

    def opened(name: str, scopes: tuple[str, ...]) -> Callable[..., Any]:
        @functools.wraps(getattr(cls, name))
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            function = getattr(super(scoped, self), name)
            calls = _calls.get()
            return function(*args, **kwargs) if calls is None else calls.run(scopes, function, args, kwargs)

        return call

    scoped = types.new_class(cls.__name__, (cls,), {} if pytree else {"pytree": False}, fill)
    return scoped


def _is_key(leaf: jax.Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _fixed(like: tuple[tuple[tuple[int, ...], Any], ...]) -> list[jax.Array]:
    """Random streams in the shapes and with the key types given: always the same keys, counters at zero."""
    streams = []
    for index, (shape, impl) in enumerate(like):
        if impl:
            key = jax.random.fold_in(jax.random.key(0, impl=impl), index)
            streams.append(jax.random.split(key, shape) if shape else key)
        else:
            streams.append(jnp.zeros(shape, jnp.uint32))
    return streams
