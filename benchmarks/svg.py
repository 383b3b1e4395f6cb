"""A few shapes as SVG, in colours that follow the reader's light or dark theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

# The background is drawn too, so that a page whose theme is not the system's shows a chart that can be read.
_STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: var(--ink) }
  .title { font-size: 15px; font-weight: 600 }
  .quiet { fill: var(--quiet) }
  .back { fill: var(--back) }
  .grid { stroke: var(--grid); stroke-width: 1 }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round }
  .ring { stroke-width: 2; fill: var(--back) }
  .s0 { --series: #0969da } .s1 { --series: #1a7f37 } .s2 { --series: #cf222e }
  .stroke { stroke: var(--series) } .fill { fill: var(--series) }
  svg { --back: #ffffff; --ink: #1f2328; --quiet: #59636e; --grid: #d8dee4 }
  @media (prefers-color-scheme: dark) {
    svg { --back: #0d1117; --ink: #e6edf3; --quiet: #9198a1; --grid: #30363d }
    .s0 { --series: #4493f8 } .s1 { --series: #3fb950 } .s2 { --series: #f85149 }
  }
"""


@dataclass(frozen=True)
class LogScale:
    """A logarithmic axis.

    Attributes:
        least: The value at its start, a power of ten.
        most: The value at its end, more than `least`.
        start: Where it starts, in pixels.
        end: Where it ends, in pixels; before the start for an axis that points up.
    """

    least: float
    most: float
    start: float
    end: float

    @classmethod
    def around(cls, values: Sequence[float], start: float, end: float) -> LogScale:
        """The axis from power of ten to power of ten that has room for some values, all above 0."""
        least, most = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return cls(10.0**least, 10.0 ** max(most, least + 1), start, end)

    def __call__(self, value: float) -> float:
        share = math.log(value / self.least) / math.log(self.most / self.least)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """The powers of ten on it."""
        first, last = round(math.log10(self.least)), math.floor(math.log10(self.most) + 1e-9)
        return [10.0**power for power in range(first, last + 1)]


class Drawing:
    """Shapes, drawn in the order they are added. Colours are those of a series: 0, 1 or 2.

    Args:
        width: In pixels.
        height: In pixels.
        title: What it shows, for those who don't see it.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        self._shapes: list[str] = []
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'role="img">\n<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n'
            f'<rect class="back" width="{width}" height="{height}" rx="6"/>\n'
        )

    def text(self, x: float, y: float, text: str, kind: str = '', anchor: str = 'start') -> None:
        """Writes a line; `kind` is 'title', 'quiet' or ''."""
        attributes = f' class="{kind}"' if kind else ''
        self._add(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{attributes}>{escape(text)}</text>')

    def grid_line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """Draws a line of the axes."""
        self._add(f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def line(self, points: Sequence[tuple[float, float]], series: int) -> None:
        """Joins some points."""
        joined = ' '.join(f'{x:.1f},{y:.1f}' for x, y in points)
        self._add(f'<polyline class="line stroke s{series}" points="{joined}"/>')

    def dot(self, x: float, y: float, series: int) -> None:
        """Marks a point by a full circle."""
        self._add(f'<circle class="fill s{series}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>')

    def ring(self, x: float, y: float, series: int) -> None:
        """Marks a point by a circle."""
        self._add(f'<circle class="ring stroke s{series}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>')

    def render(self) -> str:
        """The document."""
        return self._head + '\n'.join(self._shapes) + '\n</svg>\n'

    def _add(self, shape: str) -> None:
        self._shapes.append(shape)
