"""Pictures as SVG, readable on a light and on a dark ground: bars of a comparison, curves of what grows."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle

_WIDTH = 760
_LEFT = 170
_BAR_MOST = 490
_ROW = 20
_BAR = 12
_TITLE = 34
_GROUP = 30
_OWN = "tidegate"

# The ground is the page's own. Colours of bars stand out on both grounds; only text has to change.
_STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .group { font-weight: 600 }
  .own { font-weight: 600 }
  rect { fill: #7d8590 }
  rect.own { fill: #2f81f7 }
  path { stroke: #1f2328; fill: none }
  path.curve { stroke-width: 2 }
  path.limit { stroke: #7d8590; stroke-dasharray: 4 4 }
  path.grid { stroke: #7d8590; stroke-opacity: 0.3 }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } path { stroke: #e6edf3 } path.limit { stroke: #7d8590 } }
"""
_COLOURS = ("#2f81f7", "#d29922", "#3fb950", "#f85149", "#a371f7", "#39c5cf", "#db61a2")
# Of curves: where they are drawn, and the least distance between what is written beside them.
_PLOT_LEFT, _PLOT_RIGHT, _PLOT_TOP, _PLOT_BOTTOM = 90, 430, 44, 340
_BESIDE = 40
_APART = 16


@dataclass(frozen=True)
class Bar:
    """A median, what the rounds lay between, and the figure that is written beside it."""

    middle: float
    low: float
    high: float
    text: str


def bars(title: str, groups: Mapping[str, Mapping[str, Bar]]) -> str:
    """Bars from nought, all to one scale, each named and with its figure; the project's own stands out."""
    most = max((bar.high for group in groups.values() for bar in group.values()), default=0)
    scale = _BAR_MOST / most if most > 0 else 0
    parts, top = [f'<text class="title" x="0" y="18">{escape(title)}</text>'], _TITLE
    for name, group in groups.items():
        if name:
            parts.append(f'<text class="group" x="0" y="{top + 18}">{escape(name)}</text>')
            top += _GROUP
        for server, bar in group.items():
            parts.append(_row(server, bar, top, scale))
            top += _ROW
    said = "; ".join(
        " ".join(filter(None, [name, ", ".join(f"{server} {bar.text}" for server, bar in group.items())]))
        for name, group in groups.items()
    )
    return _svg(title, said, parts, top + 6)


def _row(server: str, bar: Bar, top: int, scale: float) -> str:
    middle = top + _ROW // 2
    width, low, high = (max(0.0, value) * scale for value in (bar.middle, bar.low, bar.high))
    own = ' class="own"' if server.startswith(_OWN) else ""
    end = _LEFT + max(width, high)
    spread = f'<path d="M{_LEFT + low:.1f} {middle}H{_LEFT + high:.1f}"/>' if high > low else ""
    return (
        f'<text{own} x="{_LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(server)}</text>'
        f'<rect{own} x="{_LEFT}" y="{middle - _BAR // 2}" width="{width:.1f}" height="{_BAR}"/>{spread}'
        f'<text{own} x="{end + 8:.1f}" y="{middle + 4}">{escape(bar.text)}</text>'
    )


@dataclass(frozen=True)
class Point:
    """A median at one count, and the figure that is written of it."""

    count: float
    value: float
    text: str


@dataclass(frozen=True)
class _Line:
    """How often its first value each of a line's values is, and what is written beside it."""

    points: Sequence[tuple[float, float]]
    text: str
    style: str


def curves(title: str, counted: str, costs: Mapping[str, Sequence[Point]], limit: Callable[[float], float]) -> str:
    """How often its value at the least count each cost is, both axes logarithmic; dashed, what none may outgrow.

    So costs of any unit stand in one picture, and a power of the count is a straight line.
    """
    drawn = {name: points for name, points in costs.items() if points and all(point.value > 0 for point in points)}
    lines = [_line(name, points, colour) for (name, points), colour in zip(drawn.items(), cycle(_COLOURS))]
    counts = sorted({point.count for points in drawn.values() for point in points}) or [1]
    lines.append(_Line([(count, limit(count) / limit(counts[0])) for count in counts], "n log n", 'class="limit"'))
    ratios = [ratio for line in lines for _, ratio in line.points]
    across = _scale(counts, _PLOT_LEFT, _PLOT_RIGHT)
    up = _scale(ratios, _PLOT_BOTTOM, _PLOT_TOP)
    parts = [f'<text class="title" x="0" y="18">{escape(title)}</text>', *_grid(counts, ratios, across, up)]
    below = -math.inf
    # From the top down, so that no text stands upon another.
    for line in sorted(lines, key=lambda each: up(each.points[-1][1])):
        path = "L".join(f"{across(count):.1f} {up(ratio):.1f}" for count, ratio in line.points)
        below = max(up(line.points[-1][1]), below + _APART)
        parts.append(f'<path {line.style} d="M{path}L{_PLOT_RIGHT + _BESIDE - 4} {below:.1f}"/>')
        parts.append(f'<text x="{_PLOT_RIGHT + _BESIDE}" y="{below + 4:.1f}">{escape(line.text)}</text>')
    bottom = max(_PLOT_BOTTOM + 36, below + _APART)
    parts.append(f'<text x="{_PLOT_RIGHT}" y="{_PLOT_BOTTOM + 36}" text-anchor="end">{escape(counted)}</text>')
    said = "; ".join(line.text for line in lines[:-1])
    return _svg(title, f"By {counted}: {said}", parts, round(bottom) + 10)


def _line(name: str, points: Sequence[Point], colour: str) -> _Line:
    ratios = [(point.count, point.value / points[0].value) for point in points]
    text = f"{name}: {points[0].text} → {points[-1].text}"
    return _Line(ratios, text, f'class="curve" style="stroke: {colour}"')


def _scale(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    """Where a value lies between two places, by its logarithm."""
    least, most = math.log(min(values)), math.log(max(values))
    step = (end - start) / (most - least or 1)
    return lambda value: start + (math.log(value) - least) * step


def _grid(
    counts: Sequence[float], ratios: Sequence[float], across: Callable[[float], float], up: Callable[[float], float]
) -> Iterator[str]:
    """A line and a word for each count, and for each power of ten."""
    for count in counts:
        at = across(count)
        yield f'<path class="grid" d="M{at:.1f} {_PLOT_TOP}V{_PLOT_BOTTOM}"/>'
        yield f'<text x="{at:.1f}" y="{_PLOT_BOTTOM + 18}" text-anchor="middle">{count:,.0f}</text>'
    for power in range(math.ceil(math.log10(min(ratios))), math.floor(math.log10(max(ratios))) + 1):
        at = up(10**power)
        yield f'<path class="grid" d="M{_PLOT_LEFT} {at:.1f}H{_PLOT_RIGHT}"/>'
        text = f"{10**power:,}" if power >= 0 else f"{10**power:g}"
        yield f'<text x="{_PLOT_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">× {text}</text>'


def _svg(title: str, said: str, parts: Sequence[str], height: int) -> str:
    """The whole picture; what it shows is said to those who do not see it."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        f' role="img" aria-labelledby="title said">\n'
        f'<title id="title">{escape(title)}</title>\n<desc id="said">{escape(said)}</desc>\n'
        f"<style>{_STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )
