"""A model traced once: its layers, and its splits."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from camjax._axes import Axes
from camjax._split import Split
from camjax.trace import _rules, _tails
from camjax.trace._analysis import Analysis, analyse
from camjax.trace._blocks import Attentions, attends
from camjax.trace._cut import Cut
from camjax.trace._flatten import flatten
from camjax.trace._grid import Grids
from camjax.trace._program import Program, Value, live, widest
from camjax.trace._scopes import Place, silent
from camjax.trace._sites import Sites
from camjax.trace._stages import stages
from camjax.trace._table import BESIDE, Layer, Layers

_Scans = tuple[tuple[int, ...], ...]  # the scans that a value lies in, outermost first
_Peel = tuple[tuple[tuple[int, ...], int], ...]  # (scan, iteration) for each that is not peeled at its last


class _Address(NamedTuple):
    """Where a layer is: in the analysis with these iterations peeled, under this name or at this value."""

    peel: _Peel = ()
    name: str = ""
    value: Value | None = None


class Traced:
    """A model's function, traced for one example.

    Args:
        closed: the jaxpr of `apply(params, x)` for a batch of one.
        n_params: how many of its arguments are parameters.
        out_tree: the structure of its outputs.
        batched: for each output leaf, whether it has a batch axis.
        input_paths: what to call the input's leaves in messages.
        at: traces the same model for inputs of other shapes.
        rewrite: whether its splits are evaluated as a CPU is fast at.
    """

    def __init__(
        self,
        closed: Any,
        n_params: int,
        out_tree: Any,
        batched: Sequence[bool],
        input_paths: Sequence[str],
        at: Callable[[Any], Traced],
        rewrite: bool = True,
    ) -> None:
        self._closed, self._n_params, self._out_tree = closed, n_params, out_tree
        self._batched, self._input_paths = tuple(batched), tuple(input_paths)
        self.at, self._rewrite = at, rewrite
        self._splits: dict[Hashable, Split] = {}
        self._wholes: dict[tuple[str, str | None], Split] = {}
        self._sites: dict[str, Sites] = {}
        self._attentions: dict[str, Attentions] = {}
        self._analyses: dict[_Peel, Analysis] = {}
        self._addresses: dict[str, _Address] = {}

    @property
    def captured(self) -> list[Any]:
        """The arrays that the model's function captured."""
        return list(getattr(self._closed, "consts", ()))

    @functools.cached_property
    def widest(self) -> int:
        """The bytes of the largest array between the model's input and its outputs, of one example."""
        return widest(self._analysis().program)

    @functools.cached_property
    def layers(self) -> Layers:
        """All addressable layers, in the order in which they are computed."""
        found = self._analysis()
        rows: list[Layer] = []
        iterations = self._other_iterations(found)
        for value, here in _by_value(found.places).items():
            for place in here:
                rows += iterations.pop(_scans(place), ())
            rows.append(self._row_of(found, value, here))
        if found.default is not None and not any(row.default for row in rows):
            rows.append(self._row_of(found, found.default, [Place(found.name_of(found.default), found.default)]))
        taken = {name for row in rows for name in (row.name, *row.aliases)}
        for name in dict(silent(found.program, found.program.equations)):
            if name not in taken:
                rows.append(Layer(name, note="computes nothing: it hands its input on"))
        return Layers(rows, found.program.sealed)

    def _row_of(self, found: Analysis, value: Value, here: Sequence[Place]) -> Layer:
        names = [place.name for place in sorted(here, key=_plainest)]
        self._addresses[names[0]] = _Address(value=value)
        axes, mine = found.grids.axes(value), value is found.default
        return Layer(names[0], tuple(names[1:]), value.shape, axes, mine, _note(found, value))

    def _other_iterations(self, found: Analysis) -> dict[_Scans, list[Layer]]:
        """For each nest of scans, the layers of the iterations that `found` does not show.

        All of them look alike, but not like the last one, whose results nobody may read.
        """
        shown = {i.scan: i for place in found.places for i in place.iterations if i.length > 1}
        if not shown:
            return {}
        other = self._analysis(tuple((scan, i.at - 1 if i.at else 1) for scan, i in shown.items()))
        rows: dict[_Scans, list[Layer]] = {}
        nests = {_scans(place): place.iterations for place in other.places if place.iterations}
        for nest, iterations in nests.items():
            home = tuple(shown[i.scan].at if i.scan in shown else 0 for i in iterations)
            inside = _by_value([place for place in other.places if _scans(place) == nest])
            rows[nest] = []
            for at in itertools.product(*(range(i.length) for i in iterations)):
                for value, here in inside.items() if at != home else ():
                    names = [_elsewhere(p, at) for p in sorted(here, key=_plainest)]
                    peel = tuple((i.scan, n) for i, n in zip(iterations, at, strict=True))
                    self._addresses[names[0]] = _Address(peel, names[0])
                    axes, note = other.grids.axes(value), _note(other, value)
                    rows[nest].append(Layer(names[0], tuple(names[1:]), value.shape, axes, note=note))
        return rows

    def split(
        self,
        layer: str | None = None,
        *,
        axes: Axes | Mapping[str, Any] | None = None,
        scores: str = "logits",
    ) -> Split:
        """The model cut at `layer` (None: the default one); the same object for the same arguments.

        Raises:
            ValueError: when there is no such layer, or no default one, when its axes are neither found nor
                given, or when `scores` is neither "logits" nor "outputs".
        """
        if scores not in ("logits", "outputs"):
            raise ValueError(f"scores: got {scores!r}, expected 'logits' (before a final softmax) or 'outputs'.")
        said: Any = axes
        if isinstance(axes, Mapping):
            said = tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in sorted(axes.items()))
        row = self._row(layer)
        key = (row.name, said, scores)
        if key not in self._splits:
            self._splits[key] = self._cut(row, axes, scores)
        return self._splits[key]

    @functools.cached_property
    def stages(self) -> tuple[str, ...]:
        """The names of the last layers of each resolution, finest first; the last one is the default layer."""
        ends = set(stages(self._analysis()))
        return tuple(row.name for row in self.layers if self._addresses.get(row.name, _Address()).value in ends)

    def whole(self, scores: str = "logits", rule: str | None = None) -> Split:
        """The model cut in front of everything, with another backward rule (of `_rules.RULES`) at its ReLUs.

        `features(params, x)` hands the first of the input's leaves on, and all else that the head reads: together
        the two are the model as a function of all of `x`, without its tail where `scores` is "logits".

        Raises:
            ValueError: for a rule where the model has no ReLU.
        """
        if (scores, rule) not in self._wholes:
            program, tail = self._before_tail(flatten(self._closed, self._n_params, peel=None), scores)
            program = program if rule is None else _rules.with_rule(program, rule)
            self._wholes[scores, rule] = self._split_at(program, program.inputs[0], None, "the input", tail)
        return self._wholes[scores, rule]

    def sites(self, scores: str = "logits") -> Sites:
        """The bias sites of the model, without its tail where `scores` is "logits".

        Raises:
            ValueError: where the score has no gradient, for a while loop.
        """
        if scores not in self._sites:
            program, _ = self._before_tail(flatten(self._closed, self._n_params, peel=None), scores)
            rebuild = functools.partial(jax.tree.unflatten, self._out_tree)
            self._sites[scores] = Sites(program, self._batched, rebuild, self._rewrite)
        return self._sites[scores]

    def attentions(self, scores: str = "logits") -> Attentions:
        """The attentions of the model, scans over its blocks unrolled, without its tail where `scores` is "logits"."""
        if scores not in self._attentions:
            program, _ = self._before_tail(flatten(self._closed, self._n_params, peel=None, unroll=attends), scores)
            rebuild = functools.partial(jax.tree.unflatten, self._out_tree)
            self._attentions[scores] = Attentions(program, self._batched, rebuild, self._rewrite)
        return self._attentions[scores]

    def _row(self, layer: str | None) -> Layer:
        if layer is not None:
            return self.layers.named(layer)
        if (row := self.layers.default) is not None:
            return row
        leaf = self._input_paths[0] if self._input_paths else "x"
        if not self._analysis().grids.known:
            raise ValueError(
                f"layer: no convolution labels the space axes of {leaf}, so no default layer can be found. "
                "Name a layer and its axes, for example layer='blocks.11.norm1', "
                "axes=dict(space=1, grid=(14, 14), prefix=1, channel=2)."
            )
        raise ValueError(
            f"layer: no spatial layer was found: no value of this model carries the whole grid of {leaf} "
            "beside its channels and reaches the outputs. Name a layer; camjax.layers(model, x) lists all."
        )

    def _cut(self, row: Layer, axes: Axes | Mapping[str, Any] | None, scores: str) -> Split:
        address = self._addresses[row.name]
        found = self._analysis(address.peel)
        named = [p.value for p in found.places if p.name == address.name]
        value = address.value or (named[0] if named else None)
        if value is None:
            raise ValueError(
                f"layer: {row.name!r} is computed in this iteration in another way than in those next to it; "
                "name the same layer in another iteration."
            )
        layout: Any = axes if axes is not None else found.grids.axes(value)
        if layout is None:
            raise ValueError(self._no_axes(row, found.grids))
        if isinstance(layout, Mapping):
            layout = Axes.of(value.shape, **layout)
        program, tail = self._before_tail(found.program, scores)
        return self._split_at(program, value, layout, row.name, tail)

    def _before_tail(self, program: Program, scores: str) -> tuple[Program, str | None]:
        if scores != "logits":
            return program, None
        return _tails.strip(program, live(program.equations, program.outputs))

    def _split_at(self, program: Program, value: Value, layout: Axes | None, name: str, tail: str | None) -> Split:
        cut = Cut(program, value, self._out_tree, self._batched, self._rewrite)
        return Split(
            cut.features,
            cut.head,
            axes=layout,
            batched=self._batched,
            name=name,
            tail=tail,
            bind=cut.bind if cut.captured else None,
            source=self,
        )

    def _no_axes(self, row: Layer, grids: Grids) -> str:
        what = f"layer {row.name!r} (shape {'x'.join(map(str, row.shape))})"
        if grids.known:
            why = f"{what} does not carry the whole grid of the input beside its channels"
        else:
            leaf = self._input_paths[0]
            why = f"no convolution labels the space axes of {leaf}, so those of {what} are unknown"
        better = self.layers.default
        instead = f"explain {better.name!r} instead, or " if better else ""
        return f"axes: {why}; {instead}say them, for example axes=dict(space=(1, 2), channel=3)."

    def _analysis(self, peel: _Peel = ()) -> Analysis:
        if peel not in self._analyses:
            self._analyses[peel] = analyse(self._closed, self._n_params, dict(peel))
        return self._analyses[peel]


def _scans(place: Place) -> _Scans:
    return tuple(i.scan for i in place.iterations)


def _by_value(places: Sequence[Place]) -> dict[Value, list[Place]]:
    names: dict[Value, list[Place]] = {}
    for place in places:
        names.setdefault(place.value, []).append(place)
    return names


def _note(found: Analysis, value: Value) -> str:
    if value in found.hidden:
        return "inside a custom derivative, which is bypassed"
    if value is found.default and not found.alone:
        return BESIDE
    return ""


def _plainest(place: Place) -> tuple[bool, bool, int, int]:
    """Sorts the names of one value: a scope's own before `after:`, a stage's before the whole trunk's
    (`features.12` rather than `features`, which begins with the model), outer before inner."""
    return place.name.startswith("after:"), place.trunk, place.name.count("."), len(place.iterations)


def _elsewhere(place: Place, at: Sequence[int]) -> str:
    """The name of the same layer in other iterations of the scans that it lies in."""
    here = "".join(f"[{i.at}]" for i in place.iterations)
    return place.name.removesuffix(here) + "".join(f"[{n}]" for n in at)
