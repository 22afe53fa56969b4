"""A bar for each recovery, oldest first, and a line where the objective is: SVG that stands in a page of HTML. The line
says what the colours say, for those who print in black."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640, 170, 8, 16, 24
_WITHIN, _BEYOND, _FAILED = "#4a6785", "#b3261e", "#ffffff"


def bars(
    values: Sequence[tuple[datetime, float | None, bool]], objective: float | None, said: Callable[[float], str]
) -> str:
    """One ``svg`` element. ``values``: when, seconds (None: not known, a mark on the ground), and whether that recovery
    came to what was asked for (a bar that is only outlined did not). ``said`` writes seconds."""
    known = [value for _, value, _ in values if value is not None]
    highest = max([*known, (objective or 0) * 1.2, 1e-9])
    ground, room = _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM - _TOP
    step = (_WIDTH - 2 * _LEFT) / max(len(values), 12)
    parts = [f'<line x1="{_LEFT}" y1="{ground}" x2="{_WIDTH - _LEFT}" y2="{ground}" stroke="#555"/>']
    for place, (at, value, ok) in enumerate(values):
        x, width = _LEFT + step * (place + 0.15), step * 0.7
        told = f"{at.astimezone(UTC):%Y-%m-%d %H:%M}Z: {'not known' if value is None else said(value)}"
        title = f"<title>{escape(told if ok else told + ', failed')}</title>"
        if value is None:
            parts.append(_text(x + width / 2, ground - 3, "?", "middle", title))
            continue
        height = max(1.5, room * value / highest)
        colour = _BEYOND if objective is not None and value > objective else _WITHIN
        fill = colour if ok else _FAILED
        parts.append(
            f'<rect x="{x:.1f}" y="{ground - height:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" '
            f'stroke="{colour}">{title}</rect>'
        )
    if objective is not None:
        y = ground - room * objective / highest
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _LEFT}" y2="{y:.1f}" stroke="#111" stroke-dasharray="5 4"/>'
        )
        parts.append(_text(_WIDTH - _LEFT, y - 4, f"objective: {said(objective)}", "end"))
    if values:
        parts.append(_text(_LEFT, _HEIGHT - 6, f"{values[0][0].astimezone(UTC):%Y-%m-%d}", "start"))
        parts.append(_text(_LEFT + step * len(values), _HEIGHT - 6, f"{values[-1][0].astimezone(UTC):%Y-%m-%d}", "end"))
    drawn = "".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" font-family="sans-serif" font-size="11">{drawn}</svg>'


def _text(x: float, y: float, text: str, anchor: str, title: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{title}{escape(text)}</text>'
