"""Haiku: `transformed.apply` with absolute scopes, by the public method interceptors."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import haiku as hk

from camjax import Model, Preprocess
from camjax.adapting import Apply, Calls, is_forward, scope_name


def from_haiku(
    transformed: hk.Transformed | hk.TransformedWithState,
    params: Mapping[str, Any],
    state: Mapping[str, Any] | None = None,
    *,
    labels: Sequence[str] | None = None,
    preprocess: Preprocess | None = None,
    **apply_kwargs: Any,
) -> Model:
    """A transformed Haiku function and its parameters as a `camjax.Model`.

    `apply(params, x)` is `transformed.apply(params, None, x, **apply_kwargs)`, without random numbers. Layers are
    addressed by their module's name with dots (`res_net50.block_group_3.block_1.conv_2`; Haiku's `/~/` is one dot).

    Args:
        transformed: what `hk.transform` or `hk.transform_with_state` returned.
        params: what its `init` returned: the model's leaves.
        state: for `hk.transform_with_state`, the state (BatchNorm's statistics). It is among the leaves, and
            read-only: the new state that a call returns is dropped.
        labels: the names of the classes, in the order of the logits.
        preprocess: how a picture becomes `x`.
        **apply_kwargs: passed on to every call, such as `is_training=False`.

    Raises:
        TypeError: `transformed` is none, or a state is missing or not wanted.
        ValueError: when called, if the function draws random numbers.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> transformed = hk.without_apply_rng(hk.transform(lambda x: hk.Linear(3)(x)))
        >>> model = from_haiku(transformed, transformed.init(jax.random.key(0), jnp.ones((1, 4))))
        >>> model(jnp.ones((2, 4))).shape
        (2, 3)
    """
    if not isinstance(transformed, hk.Transformed | hk.TransformedWithState):
        raise TypeError(
            "from_haiku: transformed must be what hk.transform(f) or hk.transform_with_state(f) returned, got "
            f"{type(transformed).__name__}. Of what hk.multi_transform returned pass one function: "
            "hk.Transformed(multi.init, multi.apply.NAME), or hk.TransformedWithState(...)."
        )
    stateful = isinstance(transformed, hk.TransformedWithState)
    if stateful != (state is not None):
        raise TypeError(
            "from_haiku: hk.transform_with_state returns a function that needs its state; pass the one that init "
            "returned beside the parameters."
            if stateful
            else "from_haiku: hk.transform returns a function without state, so state= must be left out."
        )

    # Functions that went through hk.without_apply_rng take none.
    rng = (None,) if "rng" in inspect.signature(transformed.apply).parameters else ()

    def run(variables: tuple[Any, Any], x: Any) -> Any:
        calls = Calls()

        def scoped(function: Any, args: Any, kwargs: Any, context: hk.MethodContext) -> Any:
            if not is_forward(context.method_name):
                return function(*args, **kwargs)
            path = context.module.module_name.replace("/~/", "/").replace("/~", "/").split("/")
            return calls.run([scope_name(path, context.method_name)], function, args, kwargs)

        params, state = variables
        given = (params, state) if stateful else (params,)
        with hk.intercept_methods(scoped):
            out = transformed.apply(*given, *rng, x, **apply_kwargs)
        return out[0] if stateful else out

    return Model(
        Apply(run, transformed, *sorted(apply_kwargs.items(), key=lambda item: item[0])),
        (params, state),
        labels=None if labels is None else tuple(labels),
        preprocess=preprocess,
    )
