"""A picture of a comparison: plain bars as SVG, readable on a light and on a dark ground."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

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
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } path { stroke: #e6edf3 } }
"""


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
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top + 6}" width="{_WIDTH}" height="{top + 6}"'
        f' role="img" aria-labelledby="title said">\n'
        f'<title id="title">{escape(title)}</title>\n<desc id="said">{escape(said)}</desc>\n'
        f"<style>{_STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
    )


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
