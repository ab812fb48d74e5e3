"""The ends of a model's stages: for each resolution, the last value through which everything goes."""

from __future__ import annotations

from camjax.trace._analysis import Analysis
from camjax.trace._default import alone
from camjax.trace._program import Value, live


def stages(found: Analysis) -> list[Value]:
    """For each grid the newest named value that carries it, with nothing else on the grid passing it by; in order.

    The last one is the default layer, whatever its grid; later layers do not count. In a ResNet these are the
    stem, `layer1`, ..., `layer4`: the inside of a block has its bypass beside it.
    """
    program, grids = found.program, found.grids
    equations = live(program.equations, program.outputs)
    numbers = {equation: number for number, equation in enumerate(equations)}
    named = {place.value for place in found.places} - found.hidden
    order = [value for equation in equations for value in equation.outputs]
    if found.default is None:
        return []
    ends: dict[tuple[int, ...], Value] = {}
    for value in reversed(order[: order.index(found.default) + 1]):
        axes = grids.axes(value) if value in named or value is found.default else None
        if axes is None or axes.grid in ends or not grids.pure(value) or grids.channel_dim(value) is None:
            continue
        if value is found.default or alone(program, equations, numbers, value, grids):
            ends[axes.grid] = value
    return list(ends.values())[::-1]
