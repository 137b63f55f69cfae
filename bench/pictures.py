"""A curve as SVG: x by powers of ten, y from nothing to a little above the largest value."""

from __future__ import annotations

import math
from collections.abc import Mapping

_WIDTH, _HEIGHT = 640, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 30, 44, 36
_STYLE = "font-family='sans-serif' font-size='12' fill='#333'"


def picture(title: str, values: Mapping[int, float]) -> str:
    """One curve with its points and their values; at least one point."""
    most = max(values.values()) * 1.25 or 1.0
    places = {count: (_x(count, max(values)), _y(value / most)) for count, value in values.items()}
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {_HEIGHT}' role='img'>",
        f"<title>{title}</title><rect width='{_WIDTH}' height='{_HEIGHT}' fill='#fff'/>",
        f"<text x='{_LEFT}' y='22' {_STYLE} font-weight='bold'>{title}</text>",
        *(_grid(most * step / 4, _y(step / 4)) for step in range(5)),
        *(
            f"<text x='{x:.1f}' y='{_HEIGHT - 14}' {_STYLE} text-anchor='middle'>{count:,}</text>"
            for count, (x, _) in places.items()
        ),
        "<polyline fill='none' stroke='#2563eb' stroke-width='2' points='"
        + " ".join(f"{x:.1f},{y:.1f}" for x, y in places.values())
        + "'/>",
    ]
    for count, (x, y) in places.items():
        parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='4' fill='#2563eb'/>")
        parts.append(
            f"<text x='{x:.1f}' y='{y - 10:.1f}' {_STYLE} text-anchor='middle'>{_number(values[count])}</text>"
        )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _grid(value: float, y: float) -> str:
    return (
        f"<line x1='{_LEFT}' x2='{_WIDTH - _RIGHT}' y1='{y:.1f}' y2='{y:.1f}' stroke='#ddd'/>"
        f"<text x='{_LEFT - 8}' y='{y + 4:.1f}' {_STYLE} text-anchor='end'>{_number(value)}</text>"
    )


def _x(count: int, largest: int) -> float:
    share = math.log10(count + 1) / math.log10(largest + 1) if largest else 0.5
    return _LEFT + 24 + share * (_WIDTH - _LEFT - _RIGHT - 48)


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 or value == 0 else f"{value:.2f}"
