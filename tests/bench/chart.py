"""A chart of bars in groups, as SVG that needs nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Mapping

WIDTH, BAR, LEFT, RIGHT = 640, 24, 170, 70
OURS, OTHERS = "#1f5fa8", "#9aa7b4"
MANY = 100  # values from here on are shown without decimals


def chart(groups: Mapping[str, Mapping[str, float]]) -> str:
    """Return the groups one below the other, each with a scale of its own."""
    parts: list[str] = []
    y = 24
    for title, bars in groups.items():
        parts.append(f'<text x="10" y="{y}" font-weight="bold">{escape(title)}</text>')
        most = max(bars.values()) or 1
        for name, value in bars.items():
            y += BAR
            length = max(1, round(value / most * (WIDTH - LEFT - RIGHT)))
            colour = OURS if name.startswith("releve") or name.endswith("warm") else OTHERS
            text = f"{value:.0f}" if most >= MANY else f"{value:.2f}"
            parts += [
                f'<text x="{LEFT - 8}" y="{y}" text-anchor="end">{escape(name)}</text>',
                f'<rect x="{LEFT}" y="{y - 14}" width="{length}" height="18" fill="{colour}"/>',
                f'<text x="{LEFT + length + 6}" y="{y}">{text}</text>',
            ]
        y += 2 * BAR
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y - BAR}"'
        f' font-family="sans-serif" font-size="13">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )
