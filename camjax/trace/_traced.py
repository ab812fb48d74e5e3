"""A model traced once: its layers, and its splits."""

from __future__ import annotations

import functools
import itertools
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from camjax._axes import Axes
from camjax._model import Model
from camjax._split import Split
from camjax.trace import _tails
from camjax.trace._cut import Cut
from camjax.trace._default import default
from camjax.trace._flatten import flatten
from camjax.trace._grid import Grids
from camjax.trace._program import Program, Value, live
from camjax.trace._scopes import Place, places, silent, uses
from camjax.trace._table import Layer, Layers


class _Analysis(NamedTuple):
    """A flattened model, with one iteration of each scan inlined."""

    program: Program
    places: list[Place]
    grids: Grids
    hidden: frozenset[Value]  # made inside a call with a custom derivative, and not its result
    default: Value | None


class Traced:
    """A model's function, traced for one example.

    Args:
        closed: the jaxpr of `apply(params, x)` for a batch of one.
        n_params: how many of its arguments are parameters.
        out_tree: the structure of its outputs.
        batched: for each output leaf, whether it has a batch axis.
        input_paths: what to call the input's leaves in messages.
    """

    def __init__(
        self, closed: Any, n_params: int, out_tree: Any, batched: Sequence[bool], input_paths: Sequence[str]
    ) -> None:
        self._closed, self._n_params, self._out_tree = closed, n_params, out_tree
        self._batched, self._input_paths = tuple(batched), tuple(input_paths)
        self._splits: dict[Hashable, Split] = {}
        self._analyses: dict[Hashable, _Analysis] = {}

    @property
    def captured(self) -> list[Any]:
        """The arrays that the model's function captured."""
        return list(getattr(self._closed, "consts", ()))

    @functools.cached_property
    def layers(self) -> Layers:
        """All addressable layers, in the order in which they are computed."""
        found = self._analysis({})
        names: dict[Value, list[Place]] = {}
        for place in found.places:
            names.setdefault(place.value, []).append(place)
        if found.default is not None and found.default not in names:
            names[found.default] = [self._anonymous(found.default)]
        rows = []
        for value, here in names.items():
            here = sorted(here, key=_plainest)
            note = "inside a custom derivative, which is bypassed" if value in found.hidden else ""
            axes = found.grids.axes(value)
            for indices in itertools.product(*(range(i.length) for i in here[0].iterations)):
                ours = [p for p in here if p.iterations == here[0].iterations]
                mine = tuple(i.index for i in here[0].iterations) == indices
                titles = [_renamed(p, indices) for p in (here if mine else ours)]
                rows.append(
                    Layer(
                        titles[0], tuple(titles[1:]), value.shape, axes, mine and value is found.default, note
                    )
                )
        taken = {name for row in rows for name in (row.name, *row.aliases)}
        for name, _ in silent(found.program, found.program.equations):
            if name not in taken:
                taken.add(name)
                rows.append(Layer(name, note="computes nothing: it hands its input on"))
        return Layers(rows)

    def split(
        self,
        layer: str | None = None,
        *,
        axes: Axes | Mapping[str, Any] | None = None,
        scores: str = "logits",
    ) -> Split:
        """The model cut at `layer` (None: the default one); the same object for the same arguments.

        Raises:
            ValueError: when there is no such layer, or no default one, or when its axes are neither found nor given.
        """
        if isinstance(axes, Mapping):
            axes_key: Hashable = tuple(
                sorted((k, tuple(v) if isinstance(v, list) else v) for k, v in axes.items())
            )
        else:
            axes_key = axes
        row = self._row(layer)
        key = (row.name, axes_key, scores)
        if key not in self._splits:
            self._splits[key] = self._cut(row, axes, scores)
        return self._splits[key]

    def _row(self, layer: str | None) -> Layer:
        if layer is not None:
            return self.layers.named(layer)
        if (row := self.layers.default) is not None:
            return row
        leaf = self._input_paths[0] if self._input_paths else "x"
        if not self._analysis({}).grids.known:
            raise ValueError(
                f"layer: no convolution labels the space axes of {leaf}, so no default layer can be found. Name a layer "
                "and its axes, for example layer='blocks.11.norm1', axes=dict(space=1, grid=(14, 14), prefix=1, channel=2)."
            )
        raise ValueError(
            "layer: no spatial layer was found: no value of this model carries the whole grid of "
            f"{leaf} beside its channels and reaches the outputs. Name a layer; camjax.layers(model, x) lists them all."
        )

    def _cut(self, row: Layer, axes: Axes | Mapping[str, Any] | None, scores: str) -> Split:
        found = self._analysis({})
        if indices := _indices(row.name):
            place = next(p for p in found.places if _family(p.name) == _family(row.name))
            found = self._analysis({i.scan: n for i, n in zip(place.iterations, indices, strict=True)})
        value = next((p.value for p in found.places if p.name == row.name), found.default)
        assert value is not None  # every row but the default one's has a place
        layout: Any = axes if axes is not None else found.grids.axes(value)
        if layout is None:
            raise ValueError(self._no_axes(row, found.grids))
        if isinstance(layout, Mapping):
            layout = Axes.of(value.shape, **layout)
        program, tail = found.program, None
        if scores == "logits":
            program, tail = _tails.strip(program, live(program.equations, program.outputs))
        cut = Cut(program, value, self._out_tree, self._batched)
        return Split(cut.features, cut.head, axes=layout, batched=self._batched, name=row.name, tail=tail)

    def _no_axes(self, row: Layer, grids: Grids) -> str:
        shape = "x".join(map(str, row.shape))
        if not grids.known:
            why = f"no convolution labels the space axes of {self._input_paths[0]}, so those of"
            why += f" layer {row.name!r} (shape {shape}) are unknown"
        else:
            why = f"layer {row.name!r} (shape {shape}) does not carry the whole grid of the input beside its channels"
        better = self.layers.default
        remedy = "say them, for example axes=dict(space=(1, 2), channel=3)"
        return f"axes: {why}; " + (
            f"explain {better.name!r} instead, or {remedy}." if better else f"{remedy}."
        )

    def _analysis(self, peel: Mapping[tuple[int, ...], int]) -> _Analysis:
        key = tuple(sorted(peel.items()))
        if key not in self._analyses:
            program = flatten(self._closed, self._n_params, peel)
            equations = live(program.equations, program.outputs)
            use = uses(program, equations)
            grids = Grids(program, equations, use)
            named = places(equations, use)
            chosen = (
                default(program, equations, use, grids, {p.value for p in named}) if grids.known else None
            )
            hidden = frozenset(
                v
                for e in equations
                for v in e.outputs
                if any(v not in program.regions[r].outputs for r in e.regions)
            )
            self._analyses[key] = _Analysis(program, named, grids, hidden, chosen)
        return self._analyses[key]

    def _anonymous(self, value: Value) -> Place:
        """A name for a default layer that lies in no scope: its primitive and how many of these came before."""
        count = 0
        made = next(e for e in self._analysis({}).program.equations if value in e.outputs)
        for equation in self._analysis({}).program.equations:
            if equation is made:
                break
            count += equation.name == made.name
        return Place(f"{made.name}@{count}", value)


def traced(model: Model, x: Any) -> Traced:
    """Traces `model` for one example of the batch `x`, of which only the structure, the shapes and the dtypes matter.

    Traces are kept for as long as they are among the last 64, per function, structure and precision.

    Raises:
        ValueError: when the function cannot be traced for a batch of one, or treats the batch size as a constant.
    """
    params, params_tree = jax.tree.flatten(model.params)
    leaves, x_tree = jax.tree.flatten(x)
    specs = tuple(_spec(a) for a in params), tuple(_spec(a) for a in leaves)
    key = (
        model.apply,
        params_tree,
        x_tree,
        *specs,
        jax.config.jax_enable_x64,
        jax.config.jax_default_matmul_precision,
    )
    try:
        hash(key)
    except TypeError:
        return _trace(model, x)
    if key not in _TRACES:
        new = _trace(model, x)
        if any(isinstance(array, jax.core.Tracer) for array in new.captured):
            return new  # belongs to a transformation that is under way, and must not outlive it
        _TRACES[key] = new
        while len(_TRACES) > 64:
            _TRACES.popitem(last=False)
    _TRACES.move_to_end(key)
    return _TRACES[key]


_TRACES: OrderedDict[Hashable, Traced] = OrderedDict()


def _trace(model: Model, x: Any) -> Traced:
    params = jax.tree.map(_struct, model.params)

    def example(batch: int) -> Any:
        return jax.tree.map(lambda a: jax.ShapeDtypeStruct((batch, *np.shape(a)[1:]), _struct(a).dtype), x)

    def failed(batch: int, error: Exception) -> ValueError:
        shapes = ", ".join(
            f"{_name(p)} {a.shape}" for p, a in jax.tree_util.tree_leaves_with_path(example(batch))
        )
        return ValueError(
            f"model: apply(params, x) cannot be traced for a batch of {batch}, with {shapes}: {type(error).__name__}: {error}. "
            "x must have the batch axis first and the shapes that the model expects, and apply must take any batch size "
            "(no literal batch size in a reshape)."
        )

    try:
        closed, one = jax.make_jaxpr(model.apply, return_shape=True)(params, example(1))
    except (TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        raise failed(1, error) from error
    try:
        two = jax.eval_shape(model.apply, params, example(2))
    except (TypeError, ValueError, IndexError, ZeroDivisionError) as error:
        raise failed(2, error) from error
    batched = []
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(two), strict=True):
        if a.shape != b.shape and (a.shape[:1], b.shape[:1], a.shape[1:]) != ((1,), (2,), b.shape[1:]):
            raise ValueError(
                f"model: output {_name(path, 'outputs')} has shape {a.shape} for a batch of 1 and {b.shape} for a batch of 2, "
                "so its batch axis is not the first one, or apply has a literal batch size in a reshape; use x.shape[0] there."
            )
        batched.append(a.shape != b.shape)
    paths = [_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(x)]
    return Traced(closed, len(jax.tree.leaves(params)), jax.tree.structure(one), batched, paths)


def _struct(a: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(
        np.shape(a), jax.dtypes.canonicalize_dtype(a.dtype if hasattr(a, "dtype") else np.result_type(a))
    )


def _spec(a: Any) -> tuple[Hashable, ...]:
    struct = _struct(a)
    return struct.shape, struct.dtype


def _name(path: Any, root: str = "x") -> str:
    return root + jax.tree_util.keystr(path)


def _plainest(place: Place) -> tuple[bool, int, int]:
    """Sorts the names of one value: a scope's own before `after:`, outer before inner."""
    return place.name.startswith("after:"), place.name.count("."), len(place.iterations)


def _family(name: str) -> str:
    """A name without the iterations of scans."""
    return name.partition("[")[0]


def _indices(name: str) -> tuple[int, ...]:
    return tuple(int(part.rstrip("]")) for part in name.split("[")[1:])


def _renamed(place: Place, indices: Sequence[int]) -> str:
    if not place.iterations:
        return place.name
    return _family(place.name) + "".join(f"[{i}]" for i in indices[: len(place.iterations)])
