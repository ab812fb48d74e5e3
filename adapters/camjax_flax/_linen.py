"""Flax Linen: `module.apply` with absolute scopes, by the public method interceptors."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.errors
from flax import linen as nn
from flax.core.scope import union_filters

from camjax import Model, Preprocess
from camjax.adapting import Apply, Calls, Inputs, is_forward, scope_name

# The keyword arguments of `module.apply` that are Linen's and not the method's.
_OPTIONS = ("rngs", "mutable", "capture_intermediates")

# A collection of names without arrays; see `_names`.
_NAMES = "camjax"

_REMEDIES: tuple[tuple[type[Exception], str], ...] = (
    (
        flax.errors.InvalidRngError,
        "The module drew random numbers, and an explanation needs none: switch its random layers off with "
        "the keyword that it has for this (deterministic=True, train=False), or give rngs={'dropout': key}.",
    ),
    (
        flax.errors.ModifyScopeVariableError,
        "The module updated its statistics, as in training; variables are read-only here: switch it to "
        "evaluation with the keyword that it has for this (train=False, use_running_average=True).",
    ),
    (
        flax.errors.ScopeParamShapeError,
        "The variables do not fit the module, or the input has another number of channels or features than "
        "the module was initialised for.",
    ),
    (
        flax.errors.FlaxError,
        "variables must be what module.init returned, {'params': ..., 'batch_stats': ...}; got {collections}.",
    ),
)


def from_linen(
    module: nn.Module,
    variables: Mapping[str, Any],
    *,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    method: str | Callable[..., Any] | None = None,
    **apply_kwargs: Any,
) -> Model:
    """A Linen module and its variables as a `camjax.Model`.

    `apply(variables, x)` is `module.apply(variables, x, method=method, **apply_kwargs)`. Layers are addressed
    by their path in the module (`Block_0.Conv_1`), methods other than `__call__` by the path and their name
    (`encoder.encode`).

    Args:
        module: the unbound module.
        variables: what `module.init` returned, `{"params": ..., "batch_stats": ...}`: the model's leaves.
            They are read-only: where `mutable=` makes Linen return updated collections beside the outputs,
            those are dropped.
        labels: the names of the classes, in the order of the logits.
        preprocess: how a picture becomes `x`.
        method: what to explain, a method's name or a function of the module and the input; None: `__call__`.
        **apply_kwargs: passed on to every call: the method's own settings (`train=False`) and Linen's `rngs`
            and `mutable`. A method that needs several inputs gets them from the tuple (or mapping) `x`.

    Raises:
        TypeError: `module` is no Linen module, or the method's arguments do not fit.
        ValueError: when called, if the module draws random numbers, updates statistics, misses variables
            or carries read-only ones through a scan.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> module = nn.Dense(3)
        >>> model = from_linen(module, module.init(jax.random.key(0), jnp.ones((1, 4))))
        >>> model(jnp.ones((2, 4))).shape
        (2, 3)
    """
    if not isinstance(module, nn.Module):
        if isinstance(module, type):
            got = f"the class {module.__name__}; create an instance of it"
        else:
            got = f"{type(module).__name__}; an NNX module goes to camjax_flax.from_nnx"
        raise TypeError(f"from_linen: module must be a flax.linen.Module instance, got {got}.")
    if not isinstance(variables, Mapping):
        raise TypeError(
            "from_linen: variables must be the mapping of collections that module.init returned, "
            f"{{'params': ...}}, got {type(variables).__name__}."
        )
    entry = method if isinstance(method, str) else "__call__" if method is None else ""
    function = getattr(type(module), entry, None) if entry else method
    if not callable(function):
        raise TypeError(f"from_linen: method={method!r} is no method of {type(module).__name__}; give one's name.")
    name = f"{type(module).__name__}.{entry}" if entry else "method"
    mutable = apply_kwargs.get("mutable", False)
    # A scan that carries every collection carries the names, too, and what is carried must be mutable.
    settings = apply_kwargs | ({} if mutable is False else {"mutable": union_filters(mutable, _NAMES)})
    inputs = Inputs(function, settings, options=_OPTIONS, adapter="from_linen", name=name)
    returns_state = mutable is not False or apply_kwargs.get("capture_intermediates")

    def run(variables: Mapping[str, Any], x: Any) -> Any:
        calls = Calls()

        def scoped(function: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
            name, path = context.method_name, context.module.path
            if not is_forward(name) or (not path and name in ("__call__", entry)):
                return function(*args, **kwargs)
            return calls.run([scope_name(path, name)], function, args, kwargs)

        args, kwargs = inputs(x)
        # Linen's own scopes are relative and would only repeat the absolute ones.
        with nn.override_named_call(False), nn.intercept_methods(scoped):
            try:
                trees = [tree for tree in variables.values() if isinstance(tree, Mapping)]
                out = module.apply({**variables, _NAMES: _names(trees)}, *args, method=function, **kwargs)
            except (flax.errors.FlaxError, ValueError, TypeError) as error:
                remedy = _remedy(error, variables)
                if remedy is None:
                    raise
                raise ValueError(f"from_linen: {remedy} Linen said: {error}") from error
        return out[0] if returns_state else out

    return Model(
        Apply(run, module, function, *sorted(apply_kwargs.items(), key=lambda item: item[0])),
        variables,
        labels=None if labels is None else tuple(labels),
        preprocess=preprocess,
    )


def _names(trees: Sequence[Mapping[str, Any]], path: tuple[str, ...] = ()) -> dict[str, Any]:
    """A collection of module names that holds no array, in the shape of all collections together.

    `nn.jit` traces alike modules once and reuses the program, scopes included, for the others. A different
    name in each module's variables makes Linen tell them apart.
    """
    names: dict[str, Any] = {f"@{'.'.join(path)}": None}
    for key in dict.fromkeys(key for tree in trees for key in tree):
        below = [tree[key] for tree in trees if isinstance(tree.get(key), Mapping)]
        if below:
            names[key] = _names(below, (*path, key))
    return names


def _remedy(error: Exception, variables: Mapping[str, Any]) -> str | None:
    """What to do about an error of Linen's; None where it is not about how the module was given."""
    if "carry output must have the same pytree structure" in str(error):
        return (
            "A scan's carry changes its structure. Where that is nn.scan(..., variable_carry=...), Linen wants what is "
            f"carried mutable: from_linen(..., mutable={tuple(sorted(variables))}); what a call changes is dropped."
        )
    unset = re.match(r'Parameter "(\w+)" must be passed', str(error))
    if unset:
        return f"The module needs {unset[1]!r}; pass it on: from_linen(module, variables, {unset[1]}=True)."
    for kind, remedy in _REMEDIES:
        if isinstance(error, kind):
            return remedy.replace("{collections}", ", ".join(map(repr, variables)) or "none")
    return None
