"""Requests per second as bars, in SVG. Its greys and blue can be read on white and on black."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from bench.load import Rates
from bench.variants import VARIANTS, Group

WIDTH, LEFT, RIGHT = 860, 0, 90
BAR, STEP, HEAD = 16, 44, 40
TEXT, PALE, OURS = "#7b7f85", "#9aa0a6", "#2f81f7"
_FONT = "font-family=\"system-ui, -apple-system, 'Segoe UI', sans-serif\""
_HEADS: dict[Group, str] = {
    "protected": "with headers, CORS, rate limit, token and role",
    "open": "without any check",
}


def chart(rates: Rates) -> str:
    """The variants that were measured: protected ones first, in each group the fastest first."""
    most = max((rates.of(name) for name in rates.rounds), default=1.0)
    parts: list[str] = []
    y = 8
    for group, head in _HEADS.items():
        names = [name for name in rates.rounds if VARIANTS[name].group == group]
        if not names:
            continue
        parts.append(_text(LEFT, y + 16, head, size=15, weight=600))
        y += HEAD
        for name in sorted(names, key=rates.of, reverse=True):
            parts.extend(_bar(name, rates.of(name), most, y))
            y += STEP
        y += 12
    title = "Requests per second of one route, one core for the server"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 12}" '
            f'width="{WIDTH}" height="{y + 12}" role="img" aria-label="{title}" {_FONT}>',
            f"<title>{title}</title>",
            *parts,
            _text(LEFT, y + 4, f"{title}; wrk on the other, 32 connections", size=12),
            "</svg>\n",
        ]
    )


def _bar(name: str, rate: float, most: float, y: int) -> Iterator[str]:
    variant = VARIANTS[name]
    ours = name.endswith("-ours")
    fill = OURS if ours else PALE
    width = max(2.0, (WIDTH - LEFT - RIGHT) * rate / most)
    look = (
        f'fill="{fill}"'
        if variant.group == "protected"
        else (f'fill="{fill}" fill-opacity="0.35" stroke="{fill}"')
    )
    yield _text(LEFT, y, variant.label, size=13, weight=600 if ours else 400)
    yield f'<rect x="{LEFT + 0.5}" y="{y + 5.5}" width="{width:.1f}" height="{BAR}" rx="2" {look}/>'
    yield _text(LEFT + width + 8, y + 18, f"{rate:,.0f}", size=13, weight=600 if ours else 400)


def _text(x: float, y: float, text: str, *, size: int, weight: int = 400) -> str:
    return (
        f'<text x="{x:.1f}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{TEXT}">'
        f"{escape(text)}</text>"
    )
