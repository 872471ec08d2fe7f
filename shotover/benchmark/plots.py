"""Plots as inline SVG, drawn by hand: no script, no font, no picture from anywhere else."""

from __future__ import annotations

from html import escape
from math import ceil, floor, log10

from shotover.benchmark.figures import Spread

COLOURS = {
    "shotover": "#2563eb",
    "shotover-uring": "#7c3aed",
    "nutcracker": "#d97706",
    "haproxy": "#0ea5e9",
    "nginx": "#059669",
    "envoy": "#dc2626",
}
FURTHER = ("#be185d", "#65a30d", "#0f766e", "#a16207")  # for targets with names of the user's own
GREY = "#8a8f98"
WIDTH = 720
PERCENTS = (0, 10, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99)


def colour_of(target: str, targets: list[str]) -> str:
    """The same for a target in all plots; the server alone is grey."""
    if target == "direct":
        return GREY
    others = [name for name in targets if name not in COLOURS and name != "direct"]
    return COLOURS.get(target) or FURTHER[others.index(target) % len(FURTHER)]


def text_at(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def line_at(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def svg(height: float, title: str, parts: list[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img"><title>{escape(title)}</title>'
        + "".join(parts)
        + "</svg>"
    )


def bars(title: str, figures: list[tuple[str, Spread]], decimals: int) -> str:
    """A bar for each target, as long as its median, with a whisker from its least to its most."""
    left, right, row = 170.0, 130.0, 26.0
    most = max((found.most for _, found in figures), default=0.0) or 1.0
    scale = (WIDTH - left - right) / most
    names = [name for name, _ in figures]
    parts = []
    for place, (name, found) in enumerate(figures):
        y = 6 + place * row
        middle = y + row / 2 - 3
        parts.append(text_at(left - 8, middle + 4, name, "end"))
        parts.append(
            f'<rect x="{left}" y="{y:.1f}" width="{found.median * scale:.1f}" height="{row - 8:.1f}" '
            f'fill="{colour_of(name, names)}"/>'
        )
        parts.append(
            line_at(
                left + found.least * scale, middle, left + found.most * scale, middle, "whisker"
            )
        )
        parts.append(
            text_at(left + found.most * scale + 6, middle + 4, f"{found.median:,.{decimals}f}")
        )
    return svg(12 + row * len(figures), title, parts)


def percent_place(percent: float) -> float:
    """0 to 1 along an axis on which each further nine takes the same room."""
    return -log10(1 - percent / 100) / 4 if percent < 100 else 1.0


def curves(title: str, lines: list[tuple[str, list[tuple[float, float]]]]) -> str:
    """Latency (log scale) by percentile; `lines` are (target, [(percent, us)])."""
    left, right, top, height = 70.0, 150.0, 10.0, 260.0
    values = [value for _, points in lines for _, value in points if value > 0]
    if not values:
        return ""
    low, high = floor(log10(min(values))), ceil(log10(max(values)) + 1e-9)
    high = max(high, low + 1)
    wide = WIDTH - left - right

    def at(percent: float, value: float) -> tuple[float, float]:
        share = (log10(max(value, 10.0**low)) - low) / (high - low)
        return left + percent_place(percent) * wide, top + height * (1 - share)

    parts = []
    for power in range(low, high + 1):
        y = at(0, 10.0**power)[1]
        parts += [
            line_at(left, y, left + wide, y, "grid"),
            text_at(left - 6, y + 4, f"{10.0**power:,g} us", "end"),
        ]
    for percent in (0, 50, 90, 99, 99.9, 99.99):
        x = at(percent, 10.0**low)[0]
        parts += [
            line_at(x, top, x, top + height, "grid"),
            text_at(x, top + height + 16, f"{percent:g} %", "middle"),
        ]
    names = [name for name, _ in lines]
    for place, (name, points) in enumerate(lines):
        colour = colour_of(name, names)
        path = " ".join("{:.1f},{:.1f}".format(*at(percent, value)) for percent, value in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        y = top + 14 + place * 18
        parts.append(
            f'<rect x="{left + wide + 14:.1f}" y="{y - 9:.1f}" width="10" height="10" fill="{colour}"/>'
        )
        parts.append(text_at(left + wide + 30, y, name))
    return svg(top + height + 26, title, parts)
