"""A program cut at one value: what comes before it, and what depends on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from camjax.trace._cpu import run
from camjax.trace._default import behind
from camjax.trace._narrow import narrow
from camjax.trace._program import Equation, Program, Value, close, live, reached

_LARGE = 4096  # entries; the compiler copies and folds constants, which pays for masks but not for weights


class Bound(NamedTuple):
    """A model's parameters, and beside them the large arrays that its function captured."""

    params: Any
    captured: list[Any]


class Cut:
    """The two halves of a program at `value`, as functions of the model's parameters.

    `features(params, x) -> (A, rest)` computes the value, and everything earlier that the second half still
    reads; `head(params, A, rest) -> outputs` is the rest of the program with A in the value's place, so that
    nothing in front of the layer runs, or is differentiated, again. Both take a batch; the program was
    traced with a batch of one, over which they map. With `rewrite`, convolutions are evaluated as a CPU is fast at.
    """

    def __init__(
        self, program: Program, value: Value, out_tree: Any, batched: Sequence[bool], rewrite: bool = True
    ) -> None:
        wanted = [value, *(atom for atom in program.outputs if isinstance(atom, Value))]
        program = close(program, wanted)
        equations = live(program.equations, program.outputs)
        self._program, self._value = program, value
        self._out_tree, self._batched = out_tree, tuple(batched)
        self._head, frontier = behind(program, equations, value)
        made = {value, *(v for e in self._head for v in e.outputs)}
        passed = [a for a in program.outputs if isinstance(a, Value) and a not in made]
        given = {*program.params, *program.consts}
        self._rest = [v for v in dict.fromkeys([*frontier, *passed]) if v not in given]
        # Of all equations, as a layer may stand behind the logits, where the head does not reach.
        self._features: list[Equation] = live(program.equations, [value, *self._rest])
        dependent = reached(self._features, program.inputs)  # all else has no batch axis
        self._rest_axes = [0 if v in dependent else None for v in self._rest]
        dependent = dependent | reached(self._head, dependent)
        self._out_axes = [0 if isinstance(atom, Value) and atom in dependent else None for atom in program.outputs]
        self._narrowed = narrow(self._head, program.outputs)
        self._rewrite = rewrite

    @property
    def passes(self) -> tuple[int, int]:
        """How many equations of the program each half has."""
        return len(self._features), len(self._head)

    def features(self, params: Any, x: Any) -> tuple[Any, Any]:
        """The layer's value, and what bypasses it."""
        leaves = jax.tree.leaves(x)
        if leaves[0].shape[0] == 1:
            return self._features_of_one(params, leaves)
        one = jax.vmap(lambda xs: self._features_of_one(params, [a[None] for a in xs]), out_axes=(0, self._rest_axes))
        A, rest = one(leaves)
        return (A[:, 0] if self._leading else A), rest

    def head(self, params: Any, A: Any, rest: Any) -> Any:
        """The model's outputs with A planted at the layer."""
        if A.shape == self._value.shape:
            return self._head_of_one(params, A, rest)

        def one(a: Any, r: Any) -> Any:
            leaves = jax.tree.leaves(self._head_of_one(params, a[None] if self._leading else a, r))
            return [leaf[0] if b else leaf for leaf, b in zip(leaves, self._batched, strict=True)]

        heads = jax.vmap(one, in_axes=(0, self._rest_axes), out_axes=self._out_axes)
        return jax.tree.unflatten(self._out_tree, heads(A, rest))

    @property
    def _leading(self) -> bool:
        return self._value.shape[:1] == (1,)

    @property
    def captured(self) -> list[Value]:
        """The captured arrays that are too large to be constants of a compiled program."""
        return [value for value, array in self._program.consts.items() if array.size >= _LARGE]

    def bind(self, params: Any) -> Bound:
        """`params` as the two functions take them where captured arrays must be arguments as well."""
        return Bound(params, [self._program.consts[value] for value in self.captured])

    def _env(self, params: Any) -> dict[Value, Any]:
        env = dict(self._program.consts)
        if isinstance(params, Bound):
            env.update(zip(self.captured, params.captured, strict=True))
            params = params.params
        env.update(zip(self._program.params, jax.tree.leaves(params), strict=True))
        return env

    def _features_of_one(self, params: Any, leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
        env = self._env(params)
        env.update(zip(self._program.inputs, leaves, strict=True))
        A, *rest = run(self._features, env, [self._value, *self._rest], self._rewrite)
        return A, rest

    def _head_of_one(self, params: Any, A: Any, rest: Any) -> Any:
        env = self._env(params)
        env.update(zip(self._rest, rest, strict=True))
        env[self._value] = A
        return jax.tree.unflatten(self._out_tree, run(self._narrowed, env, self._program.outputs, self._rewrite))
