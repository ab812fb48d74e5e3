"""How many examples a CPU takes at a time: of more, what lies between two layers leaves its caches, and all is slower.
Of fewer still, a process keeps the memory from call to call (glibc, up to 32 MB a block), and no page is cleared anew.

`benchmarks/portions.py` measured it; its table is in `benchmarks/portions.md`. An accelerator takes all at once.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from camjax._cores import cores

if TYPE_CHECKING:
    from camjax._split import Split

PER_CORE = 4 * 224 * 224 * 3
_KEPT = 32 << 20  # bytes; what is larger glibc asks of the system anew in each call, which clears every page of it
_FEW = 16  # targets
_WHOLE = 1.1  # of fewer than two portions


def entries() -> int | None:
    """How many entries of inputs run at once; None: all that there are.

    So it is on accelerators, and with several devices, over which a batch may be divided in ways of its own.
    """
    if jax.default_backend() != "cpu" or jax.device_count() > 1:
        return None
    return PER_CORE * cores()


def most(entries: int | None, x: Any, widest: int = 0) -> int | None:
    """How many examples like those of a batch run at once: no more entries than these, but one example.

    Fewer, if so two neighbouring maps, of at most `widest` bytes an example, fit into memory that a process keeps from
    call to call; but not fewer than there are cores, which share them.

    >>> most(1000, {"a": jnp.zeros((7, 20, 10)), "b": jnp.zeros((7, 50))})
    4
    >>> most(10**9, jnp.zeros((1, 1)), widest=2**24 // (3 * cores())) == 3 * cores()
    True
    """
    if entries is None:
        return None
    many = max(1, entries // max(1, sum(math.prod(leaf.shape[1:]) for leaf in jax.tree.leaves(x))))
    fit = _KEPT // (2 * max(1, widest))
    return min(many, fit) if fit >= cores() else many


def widest(splits: Sequence[Split], targets: int = 1) -> int:
    """The bytes of a model's widest map, of one example, if portions are to be chosen by it; else 0.

    They are not for several layers, as small ones take the gradients through convolutions longer, nor for many targets,
    as the weights of each, which are returned, are copied from every portion.
    """
    return splits[0].widest if len(splits) == 1 and targets <= _FEW else 0


def in_portions(run: Callable[..., Any], most: int | None, *rows: Any) -> Any:
    """`run(*rows)`, of so many rows at a time at most; a batch of less than two portions may run as it is.

    Portions are of one size, so that one is compiled, and the last row fills up the last one: so their size is one
    between a half of `most` and all of it, as near to it as rows are not computed in vain. Cores share it evenly.

    >>> in_portions(lambda x: x - x.shape[0], 4, jnp.arange(11.0))
    Array([-4., -3., -2., -1.,  0.,  1.,  2.,  3.,  4.,  5.,  6.], dtype=float32)
    """
    batch = jax.tree.leaves(rows)[0].shape[0]
    if most is None or batch <= most:
        return run(*rows)
    step = cores() if most >= cores() else 1
    sizes = range(most // step * step, (most - 1) // 2, -step)
    cost = {size: -(-batch // size) * size * (1 + (most - size) / (5 * most)) for size in sizes}
    if batch < 2 * most:
        cost[batch] = _WHOLE * batch
    size = min(cost, key=cost.__getitem__)
    if size == batch:
        return run(*rows)
    count = -(-batch // size)

    def apart(leaf: Any) -> Any:
        filled = leaf if count * size == batch else leaf[jnp.minimum(jnp.arange(count * size), batch - 1)]
        return filled.reshape(count, size, *leaf.shape[1:])

    found = jax.lax.map(functools.partial(_alone, run), jax.tree.map(apart, rows))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:batch], found)


def _alone(run: Callable[..., Any], part: Any) -> Any:
    # XLA would compute in front of the loop what does not depend on the part, once for each reader, and no longer see
    # that two of them are the same: the model would be evaluated for the explanation and for the prediction.
    run, shared = jax.closure_convert(run, *part)
    part, shared = jax.lax.optimization_barrier((part, shared))
    return run(*part, *shared)


def in_groups(one: Any, axes: tuple[int | None, ...], size: int, x: Any, leaves: tuple[Any, ...], ids: Any) -> Any:
    """`one(x, leaves, id)` for each example of a batch, `size` at a time; leaves without an axis are shared.

    >>> in_groups(lambda x, leaves, id: x * leaves[0], (None,), 2, jnp.arange(3.0), (jnp.float32(2),), None)
    Array([0., 2., 4.], dtype=float32)
    """
    own = [None if axis is None else leaf for leaf, axis in zip(leaves, axes, strict=True)]

    def of(row: Any) -> Any:
        x, own, example_id = row
        return one(x, tuple(leaf if mine is None else mine for leaf, mine in zip(leaves, own, strict=True)), example_id)

    return jax.lax.map(of, (x, own, ids), batch_size=size)


def evenly(batch: int, most: int) -> int:
    """The largest group that divides the batch, if it is not too small: a remainder would be compiled, too.

    >>> evenly(30, 8), evenly(31, 8)
    (6, 8)
    """
    even = max(size for size in range(1, min(batch, most) + 1) if batch % size == 0)
    return even if 2 * even >= min(batch, most) else most
