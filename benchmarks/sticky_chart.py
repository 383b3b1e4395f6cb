"""The chart of the sticky bench: a turn's cost by the length of the history, and whole workflows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.sticky_chain import Chain
from benchmarks.svg import Drawing, LogScale

_WIDTH = 760
_LEFT, _RIGHT = 150, 730
_TURNS_TOP, _TURNS_BOTTOM = 84, 344
_CHAINS_TOP = 452
_ROW = 19
_GAP = 14


def draw(turns: Mapping[str, Mapping[int, float]], chains: Sequence[Chain]) -> str:
    """The chart as an SVG document.

    Args:
        turns: CPU microseconds of a turn, by worker and by events of the history.
        chains: Whole workflows, those on one sidecar with as many steps one after another.
    """
    series = {name: number for number, name in enumerate(turns)}
    groups = list(dict.fromkeys((chain.sidecar, chain.wanted) for chain in chains))
    bottom = _CHAINS_TOP + len(chains) * _ROW + len(groups) * _GAP
    drawing = Drawing(_WIDTH, bottom + 56, 'Worker time per turn by length of history, and per workflow end to end')
    _legend(drawing, series)
    _draw_turns(drawing, turns, series)
    _draw_chains(drawing, chains, series, bottom)
    return drawing.render()


def _legend(drawing: Drawing, series: Mapping[str, int]) -> None:
    x = 24.0
    for name, number in series.items():
        text = 'dapr 1.19.0' if name == 'peer' else name
        drawing.dot(x, 24, number)
        drawing.text(x + 10, 28, text)
        x += 40 + 7 * len(text)


def _draw_turns(drawing: Drawing, turns: Mapping[str, Mapping[int, float]], series: Mapping[str, int]) -> None:
    sizes = sorted({events for by_size in turns.values() for events in by_size})
    x = LogScale(sizes[0], sizes[-1], _LEFT, _RIGHT - 20)
    values = [value for by_size in turns.values() for value in by_size.values()]
    y = LogScale.around(values, _TURNS_BOTTOM, _TURNS_TOP)
    drawing.text(24, 58, 'A turn inside the worker: CPU time by events of the history', 'title')
    for value in y.ticks():
        drawing.grid_line(_LEFT, y(value), _RIGHT, y(value))
        drawing.text(_LEFT - 8, y(value) + 4, _duration(value / 1e6), 'quiet', 'end')
    for size in sizes:
        drawing.grid_line(x(size), _TURNS_TOP, x(size), _TURNS_BOTTOM)
        drawing.text(x(size), _TURNS_BOTTOM + 18, f'{size:,}', 'quiet', 'middle')
    drawing.text(_RIGHT, _TURNS_BOTTOM + 38, 'events of history (both axes logarithmic)', 'quiet', 'end')
    for name, by_size in turns.items():
        points = [(x(events), y(value)) for events, value in sorted(by_size.items())]
        drawing.line(points, series[name])
        for point in points:
            drawing.dot(*point, series[name])
        last_x, last_y = points[-1]
        drawing.text(last_x, last_y - 9, _duration(by_size[sizes[-1]] / 1e6), '', 'end')


def _draw_chains(drawing: Drawing, chains: Sequence[Chain], series: Mapping[str, int], bottom: float) -> None:
    x = LogScale.around([value for chain in chains for value in (chain.wall_s, chain.cpu_s)], _LEFT, _RIGHT - 90)
    drawing.text(24, _CHAINS_TOP - 34, 'One workflow of sequential activities, end to end', 'title')
    drawing.text(24, _CHAINS_TOP - 14, 'full: CPU of the worker; ring: wall time, the sidecar included', 'quiet')
    for value in x.ticks():
        drawing.grid_line(x(value), _CHAINS_TOP, x(value), bottom)
        drawing.text(x(value), bottom + 18, _duration(value), 'quiet', 'middle')
    drawing.text(_RIGHT, bottom + 38, 'seconds (logarithmic)', 'quiet', 'end')
    y = float(_CHAINS_TOP)
    group: tuple[str, int] | None = None
    for chain in chains:
        if (chain.sidecar, chain.wanted) != group:
            group = chain.sidecar, chain.wanted
            y += _GAP
            drawing.text(24, y + 4, chain.sidecar)
            drawing.text(24, y + 4 + _ROW, f'{chain.wanted:,} steps', 'quiet')
        number = series[chain.worker]
        drawing.line([(x(chain.cpu_s), y), (x(chain.wall_s), y)], number)
        drawing.ring(x(chain.wall_s), y, number)
        drawing.dot(x(chain.cpu_s), y, number)
        label = f'{_duration(chain.cpu_s)} / {_duration(chain.wall_s)}'
        if not chain.is_finished:
            label = f'stopped at step {chain.steps:,}'
        drawing.text(x(max(chain.wall_s, chain.cpu_s)) + 10, y + 4, label, 'quiet')
        y += _ROW


def _duration(seconds: float) -> str:
    """A time in its usual unit."""
    if seconds >= 1:
        unit, value = 's', seconds
    elif seconds >= 1e-3:
        unit, value = 'ms', seconds * 1e3
    else:
        unit, value = 'µs', seconds * 1e6
    return f'{value:,.0f} {unit}' if value >= 10 or value == round(value) else f'{value:.1f} {unit}'
