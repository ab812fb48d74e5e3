"""The blocks of a transformer over the picture's tokens, evaluated: probabilities, and gradients at them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from camjax._axes import Axes
from camjax._split import Split
from camjax.trace._attention import Block, Operand, find
from camjax.trace._cpu import run
from camjax.trace._default import behind
from camjax.trace._grid import Grids
from camjax.trace._program import Program, Value, close, evaluate, live, reached, read
from camjax.trace._scopes import uses
from camjax.trace._stack import body
from camjax.trace._stream import streams, token_dims
from camjax.trace._taps import fixed, gradients

Score = Callable[[Any], Any]  # from one example's outputs, without batch axes, to a scalar


def attends(eqn: Any) -> bool:
    """Whether a softmax and two products may lie in the body of a scan: then its iterations are looked at."""
    names = list(_names(eqn))
    return "exp" in names and names.count("dot_general") > 1 and 0 < eqn.params["length"] <= 256


def _names(eqn: Any) -> Any:
    for sub in core.jaxprs_in_params(eqn.params):
        for inner in body(sub)[0].eqns:
            yield inner.primitive.name
            yield from _names(inner)


class Attentions:
    """All attentions of a program.

    Args:
        program: the program, its tail removed, its scans unrolled.
        batched: for each leaf of the outputs, whether it has a batch axis.
        rebuild: from the leaves of the outputs to the outputs.
        rewrite: whether convolutions are evaluated as a CPU is fast at, as in the model's halves: then what both
            evaluate is one for the compiler.
    """

    def __init__(
        self, program: Program, batched: Sequence[bool], rebuild: Callable[[Sequence[Any]], Any], rewrite: bool
    ) -> None:
        self.program, self.batched, self.rebuild, self.rewrite = program, tuple(batched), rebuild, rewrite
        self.equations = live(program.equations, program.outputs)
        self.grids = Grids(program, self.equations, uses(program, self.equations))
        self.found = find(program, self.equations, self.grids)
        self._over: dict[Axes, Tokens | None] = {}

    def over(self, axes: Axes) -> Tokens | None:
        """The attentions in which all tokens of the picture attend to each other; None where there is none.

        Where the picture's grid is not known, `axes` says which tokens it has: the layer's. Of several token grids it
        is the last one.
        """
        if axes not in self._over:
            placed = [(block, where) for block in self.found if (where := self._places(block, axes)) is not None]
            blocks = [block for block, where in placed if np.array_equal(where, placed[-1][1])]
            self._over[axes] = Tokens(self, blocks, placed[-1][1]) if blocks else None
        return self._over[axes]

    def _places(self, block: Block, axes: Axes) -> np.ndarray | None:
        """For each position of the picture, `[*space]`, the number of its token; None where these are not all there."""
        rows, keys = block.probability.length, block.value.length
        if rows != keys or rows != block.query.length:
            return None
        if not self.grids.known:
            where, count = _numbers(axes)
            return where if count == keys else None
        of_query, of_value = (self._on_grid(operand, axes.leaf) for operand in (block.query, block.value))
        return None if of_query is None or of_value is None or not np.array_equal(of_query, of_value) else of_query

    def _on_grid(self, operand: Operand, leaf: int) -> np.ndarray | None:
        axes = self.grids.axes(operand.value)
        return None if axes is None or axes.leaf != leaf else _numbers(axes, operand.tokens)[0]


def _numbers(axes: Axes, dims: Sequence[int] | None = None) -> tuple[np.ndarray | None, int]:
    """For each position of the grid its number along `dims` (by default those that the grid lies on), and the count."""
    flat = np.arange(np.prod(axes.shape)).reshape(axes.shape)
    flat = flat[tuple(slice(a, b) for a, b in zip(axes.start, axes.stop, strict=True))]
    flat = flat.reshape(tuple(itertools.chain.from_iterable(axes.factors))).transpose(axes.order)
    at = np.unravel_index(flat.reshape(*axes.grid, axes.channels)[..., 0], axes.shape)
    lies_on = tuple(d for d, numbers in enumerate(at) if np.ptp(numbers))
    dims = lies_on if dims is None else tuple(dims)
    if not dims or not set(lies_on) <= set(dims):
        return None, 0
    sizes = [axes.shape[d] for d in dims]
    return np.ravel_multi_index([at[d] for d in dims], sizes), int(np.prod(sizes))


class Tokens:
    """The blocks over one grid of tokens, in the order in which they are computed.

    Attributes:
        blocks: their attentions.
        places: `[*space]`, the number of the token at each position of the picture.
        streams: behind each block the residual stream, or None where it was not found.
    """

    def __init__(self, found: Attentions, blocks: Sequence[Block], places: np.ndarray) -> None:
        self.blocks, self.places = tuple(blocks), places
        self.streams = streams(found.equations, found.program.outputs, found.grids, blocks)
        wanted = [operand.value for block in blocks for operand in block]
        wanted += [z for z in self.streams if z is not None]
        self._program = close(found.program, [*wanted, *(a for a in found.program.outputs if isinstance(a, Value))])
        self._equations = live(self._program.equations, [*self._program.outputs, *wanted])
        self._found = found

    def run(self, split: Split, params: Any, x: Any) -> dict[Value, Any]:
        """Every value of the program for one example; `x` has a batch axis of one, `params` are bound to `split`."""
        env = fixed(self._program, split, params) | dict(zip(self._program.inputs, jax.tree.leaves(x), strict=True))
        values = [v for e in self._equations for v in e.outputs]
        env.update(zip(values, run(self._equations, env, values, self._found.rewrite), strict=True))
        return env

    def gradients(self, env: dict[Value, Any], operands: Sequence[Operand], score: Score) -> list[Any]:
        """dS/dP or dS/dO, `[heads, tokens, others]`, one for each of `operands`, from one backward pass."""
        values = [operand.value for operand in operands]
        equations = live(self._program.equations, self._program.outputs)
        found = gradients(self._program, equations, env, values, lambda leaves: self._scored(leaves, score))
        return [operand.of(gradient) for operand, gradient in zip(operands, found, strict=True)]

    def sensitivity(self, env: dict[Value, Any], number: int, score: Score) -> Any:
        """ds/dP of a block, `[heads, query, key]`: s is the score if all tokens were the mean token behind the block.

        What is behind the last block then sees that mean, whichever of the tokens it reads or averages.
        """
        start, stream, last = self.blocks[number].probability, self.streams[number], self.streams[-1]
        assert stream is not None
        assert last is not None
        block, _ = behind(self._program.replace(outputs=(stream,)), self._equations, start.value)
        head, _ = behind(self._program, self._equations, last)
        dims = token_dims(stream, start.length, self._found.grids)

        def of(P: Any) -> Any:
            inside = {**env, start.value: P}
            evaluate(block, inside)
            z = inside[stream]
            outside = {**env, last: jnp.broadcast_to(z.mean(dims, keepdims=True), z.shape)}
            evaluate(head, outside)
            return self._scored([read(outside, atom) for atom in self._program.outputs], score)

        return start.of(jax.grad(of)(env[start.value]))

    def obstacle(self, first: int = 0) -> str:
        """Why the score at a mean token cannot be had for the blocks from `first` on; empty if it can."""
        asked = self.streams[first:]
        missing = [str(n) for n, z in enumerate(asked, first) if z is None]
        if missing:
            return (
                f"no residual stream was found behind block {', '.join(missing)}: a sum, over all tokens, through "
                "which all that its attention does reaches the outputs"
            )
        last = self.streams[-1]
        assert last is not None
        if any(z is not None and (z.shape, z.aval.dtype) != (last.shape, last.aval.dtype) for z in asked):
            return "the blocks' residual streams have different shapes"
        _, frontier = behind(self._program, self._equations, last)
        earlier = reached(self._equations, [self.blocks[0].probability.value])
        if not earlier.isdisjoint(frontier):
            return "what follows the last block also reads the tokens of earlier blocks"
        return ""

    def _scored(self, leaves: Sequence[Any], score: Score) -> Any:
        found = self._found
        return score(found.rebuild([a[0] if b else a for a, b in zip(leaves, found.batched, strict=True)]))
