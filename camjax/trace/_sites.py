"""A score as a sum over its input and its biases: every site, its constant part, and the gradient there.

Where z_i are the inputs of an equation that depend on the model's input, J its derivative there and b = f(z) - J z
its affine residual, g the gradient of the score at the equation's output: sum_out g f = sum_in g_i z_i + sum_out g b.
Summed over all equations from the score down to the input x, everything but x and the residuals cancels:

    S = sum x * dS/dx + sum over sites of b * g
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from camjax._axes import Axes
from camjax._example import wide
from camjax._split import Split
from camjax.trace._cpu import run as run_fast
from camjax.trace._grid import Grids
from camjax.trace._kinds import POINTWISE, Kind, homogeneous, kind, moving
from camjax.trace._program import Equation, Program, Value, close, is_float, live, read, shape_of
from camjax.trace._residuals import residuals
from camjax.trace._scopes import uses
from camjax.trace._taps import fixed


class Term(NamedTuple):
    """A part of the score.

    Attributes:
        name: where it comes from: "input", the site's scope and primitive, or "target".
        values: its entries, as the model has them for a batch of one.
        axes: which of them lie where on the grid; None where that is not known, or nowhere.
    """

    name: str
    values: Any
    axes: Axes | None


class Sites:
    """The bias sites of a program.

    The constants of neighbouring equations that scale and shift one value entry by entry are one site: however a
    batch normalisation is written, it has one bias.

    Args:
        program: the program, its tail removed, its scans closed (each is one equation).
        batched: for each leaf of the outputs, whether it has a batch axis.
        rebuild: from the leaves of the outputs to the outputs.
        rewrite: whether convolutions are evaluated as a CPU is fast at, as in the model's halves.
    """

    def __init__(
        self,
        program: Program,
        batched: Sequence[bool],
        rebuild: Callable[[Sequence[Any]], Any],
        rewrite: bool,
    ) -> None:
        opened = live(program.equations, program.outputs)
        use = uses(program, opened)
        self.grids = Grids(program, opened, use)
        wanted = [atom for atom in program.outputs if isinstance(atom, Value)]
        self._program = close(program, wanted)
        self._equations = live(self._program.equations, program.outputs)
        self._batched, self._rebuild, self._rewrite = tuple(batched), rebuild, rewrite
        changing = _changing(program, opened)
        self._changing = changing | _changing(program, self._equations)
        self._free = [i for i, a in enumerate(program.outputs) if isinstance(a, Value) and a in self._changing]
        curved = {r for e in opened if not homogeneous(e, changing) for r in e.regions if moving(e, changing)}
        plain = {program.regions[r] for r in program.regions if r not in curved}
        # For each equation that has a bias, or scales the bias of the one before it, the input that carries it.
        self._biased: dict[Equation, int | None] = {}
        self._ends: dict[Value, str] = {}
        readers = uses(self._program, self._equations).readers
        for e in self._equations:
            inputs = moving(e, self._changing)
            if not inputs or self._changing.isdisjoint(e.outputs):
                continue
            if e.name == "while":
                raise ValueError(
                    "model: it has a while loop whose number of steps is not known in advance, and which has no "
                    "gradient, so its score is no sum over biases; use jax.lax.scan or a fori_loop with fixed bounds."
                )
            source = e.inputs[inputs[0]]
            if self._chains(e, inputs) and source in self._ends and len(readers[source]) == 1:
                self._biased[e] = inputs[0]
                del self._ends[source]
            elif e in plain or homogeneous(e, self._changing):
                continue
            else:
                self._biased[e] = None
            self._ends.update((v, _name(e)) for v in e.outputs if v in self._changing)

    def _chains(self, e: Equation, inputs: Sequence[int]) -> bool:
        pointwise = e.name in POINTWISE and e.name != "select_n" and len(inputs) == 1
        alike = pointwise and shape_of(e.inputs[inputs[0]]) == e.outputs[0].shape
        return alike and kind(e, self._changing) in (Kind.LINEAR, Kind.AFFINE)

    def terms(self, split: Split, params: Any, x: Any, score: Callable[[Any], Any]) -> list[Term]:
        """The terms that add up to `score(outputs)` for one example, in float32 or wider; those of the input first.

        Args:
            split: any split of the same model.
            params: the parameters as `split.bound` gives them.
            x: the input, with a batch axis of one example.
            score: from the outputs of one example, without batch axes, to the score.
        """
        program = self._program
        known = fixed(program, split, params) | dict(zip(program.inputs, jax.tree.leaves(x), strict=True))
        points = {v: known[v] for v in program.inputs if is_float(v)}
        nudges = {v: jnp.zeros(v.shape, v.aval.dtype) for v in self._ends}
        # Numbered: a Value is no key that a pytree could sort.
        inputs, ends = list(points), list(nudges)

        def run(points: list[Any], nudges: list[Any]) -> Any:
            env = {**known, **dict(zip(inputs, points, strict=True))}
            moved = dict(zip(ends, nudges, strict=True))
            biases: dict[Value, Any] = {}
            for e in self._equations:
                env.update(zip(e.outputs, run_fast([e], env, e.outputs, self._rewrite), strict=True))
                if e in self._biased:
                    biases |= self._bias(e, env, biases)
                env.update((v, env[v] + moved[v]) for v in e.outputs if v in moved)
            outputs = [read(env, atom) for atom in program.outputs]
            return {i: outputs[i] for i in self._free}, (outputs, [biases[v] for v in ends])

        free, pull, (outputs, biases) = jax.vjp(run, list(points.values()), list(nudges.values()), has_aux=True)

        def scored(free: dict[int, Any]) -> Any:
            leaves = [free.get(i, leaf) for i, leaf in enumerate(outputs)]
            return score(self._rebuild([a[0] if b else a for a, b in zip(leaves, self._batched, strict=True)]))

        total, back = jax.vjp(scored, free)
        (slopes,) = back(jnp.ones_like(total))
        at_inputs, at_ends = pull(slopes)
        found = [
            Term("input", _product(points[v], g), self.grids.axes(v, bare=True))
            for v, g in zip(inputs, at_inputs, strict=True)
        ]
        for v, b, g in zip(ends, biases, at_ends, strict=True):
            found.append(Term(self._ends[v], _product(b, g), self.grids.axes(v, bare=True)))
        taken = sum((_product(free[i], slopes[i]).sum().astype(total.dtype) for i in free), start=jnp.zeros_like(total))
        return [*found, Term("target", total - taken, None)]

    def _bias(self, e: Equation, env: dict[Value, Any], biases: Mapping[Value, Any]) -> dict[Value, Any]:
        """The bias of each of an equation's outputs that can change."""
        arguments = [_still(read(env, atom)) for atom in e.inputs]
        outputs = [v for v in e.outputs if v in self._changing]
        carried = self._biased[e]
        if carried is None:
            values = residuals(e, self._changing, arguments, [_still(env[v]) for v in outputs])
        else:  # it scales and shifts the bias of the value before it
            source = e.inputs[carried]
            assert isinstance(source, Value)
            values = e.at([*arguments[:carried], biases[source], *arguments[carried + 1 :]])
        return dict(zip(outputs, values, strict=True))


def _changing(program: Program, equations: Sequence[Equation]) -> set[Value]:
    """The floating values that depend on a floating input through floating values, no gradient being stopped."""
    found = {v for v in program.inputs if is_float(v)}
    for e in equations:
        if not found.isdisjoint(e.values) and e.name != "stop_gradient":
            found.update(v for v in e.outputs if is_float(v))
    return found


def _still(array: Any) -> Any:
    # Biases are not differentiated.
    return jax.lax.stop_gradient(array) if isinstance(array, jax.Array) else array


def _product(b: Any, g: Any) -> Any:
    b, g = wide((b, g))
    # Where the score does not read a bias, it adds nothing, even if the bias is not finite.
    return jnp.where(g == 0, jnp.zeros_like(g), b * g)


def _name(e: Equation) -> str:
    path = next((frame.path for frame in reversed(e.frames) if frame.path), "")
    return f"{path}:{e.name}" if path else e.name
