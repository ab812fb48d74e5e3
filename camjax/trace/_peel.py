"""One iteration of a scan outside of it: a scan over those before, the iteration, a scan over those after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from camjax.trace._program import Iteration
from camjax.trace._stack import FOLDED, mark


def peeled(eqn: Any, iteration: Iteration) -> Callable[..., list[Any]]:
    """The function of a scan equation, with one iteration outside of any scan.

    48 blocks compile as fast as one block and two loops; unrolled they would compile fifteen times slower.
    """
    n_consts, n_carry = scan_counts(eqn)
    body = core.jaxpr_as_fun(eqn.params["jaxpr"])
    reverse = eqn.params["reverse"]

    def loop(consts: Any, carry: Sequence[Any], xs: Sequence[Any], length: int) -> tuple[Any, Any]:
        def step(carry: Any, x: Any) -> tuple[Any, Any]:
            out = body(*consts, *carry, *x)
            return out[:n_carry], out[n_carry:]

        with jax.named_scope(FOLDED):
            unroll = min(int(eqn.params["unroll"]), length)
            return jax.lax.scan(step, list(carry), list(xs), length=length, reverse=reverse, unroll=unroll)

    def run(*arguments: Any) -> list[Any]:
        consts, carry = arguments[:n_consts], arguments[n_consts : n_consts + n_carry]
        xs = arguments[n_consts + n_carry :]
        at, length = iteration.at, iteration.length
        spans = [(0, at), (at, at + 1), (at + 1, length)]
        stacked: dict[int, Sequence[Any]] = {}
        for start, stop in reversed(spans) if reverse else spans:
            if (start, stop) == (at, at + 1):
                with jax.named_scope(mark(iteration)):
                    out = body(*consts, *carry, *(x[at] for x in xs))
                carry, stacked[start] = out[:n_carry], [y[None] for y in out[n_carry:]]
            elif start < stop:
                carry, stacked[start] = loop(consts, carry, [x[start:stop] for x in xs], stop - start)
        pieces = zip(*(stacked[start] for start in sorted(stacked)), strict=True)
        return [*carry, *(jnp.concatenate(parts) for parts in pieces)]

    return run


def unrolled(eqn: Any, scan: tuple[int, ...]) -> Callable[..., list[Any]]:
    """The function of a scan equation without a scan: one iteration after the other."""
    n_consts, n_carry = scan_counts(eqn)
    body = jax.jit(core.jaxpr_as_fun(eqn.params["jaxpr"]))  # traced once
    length = eqn.params["length"]

    def run(*arguments: Any) -> list[Any]:
        consts, carry = arguments[:n_consts], arguments[n_consts : n_consts + n_carry]
        xs = arguments[n_consts + n_carry :]
        stacked: dict[int, Sequence[Any]] = {}
        for at in range(length)[:: -1 if eqn.params["reverse"] else 1]:
            with jax.named_scope(mark(Iteration(scan, at, length))):
                out = body(*consts, *carry, *(x[at] for x in xs))
            carry, stacked[at] = out[:n_carry], out[n_carry:]
        return [*carry, *(jnp.stack(parts) for parts in zip(*(stacked[at] for at in range(length)), strict=True))]

    return run


def scan_counts(eqn: Any) -> tuple[int, int]:
    """The numbers of constants and of carried values of a scan."""
    if "num_consts" in eqn.params:
        return eqn.params["num_consts"], eqn.params["num_carry"]
    consts, carry, _ = eqn.params["ft_in"].unpack()  # jax >= 0.11
    return len(consts), len(carry)
