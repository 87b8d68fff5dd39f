"""How measurements are shown: medians, lines for whoever watches, and a bar chart as SVG."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
from jinja2 import Environment

STARTED = time.monotonic()

LEFT, WIDTH, BAR, GAP = 190, 430, 18, 14
COLOURS = ("#3b6ea5", "#c8783c", "#6a9a58", "#8d6aa8")

_CHART = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{{ width }}" height="{{ height }}"
  font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
<text x="10" y="20" font-size="14" font-weight="bold">{{ title }}</text>
{% for bar in bars -%}
<text x="{{ left - 8 }}" y="{{ bar.y + 13 }}" text-anchor="end">{{ bar.name }}</text>
<rect x="{{ left }}" y="{{ bar.y }}" width="{{ bar.length }}" height="{{ thickness }}" fill="{{ bar.colour }}"/>
<text x="{{ left + bar.length + 6 }}" y="{{ bar.y + 13 }}">{{ bar.label }}</text>
{% endfor -%}
{% if limit -%}
<line x1="{{ limit }}" x2="{{ limit }}" y1="30" y2="{{ height - 26 }}" stroke="#a03030" stroke-dasharray="4 3"/>
<text x="{{ limit }}" y="{{ height - 10 }}" text-anchor="middle" fill="#a03030">{{ limit_name }}</text>
{% endif -%}
</svg>
"""


def spread(values: Sequence[float]) -> str:
    """The median, with the lowest and the highest."""
    return f"{median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


def say(line: str) -> None:
    """One line for whoever watches."""
    click.echo(f"{time.monotonic() - STARTED:6.0f} s  {line} (load average {os.getloadavg()[0]:.1f})", err=True)


@dataclass(frozen=True)
class Bar:
    """One bar: what it is, how long, and what is written at its end. Bars of one group stand together."""

    name: str
    value: float
    label: str
    group: int = 0


def write_chart(path: Path, title: str, bars: Sequence[Bar], limit: float | None = None, limit_name: str = "") -> None:
    """Write a chart, its folder made where there is none.

    Args:
        path: the file.
        title: what is measured, and its unit.
        bars: from top to bottom.
        limit: value at which a line is drawn; None: no line.
        limit_name: what the line is.
    """
    longest = max(*(bar.value for bar in bars), limit or 0, 1e-9)
    placed, y = [], 40
    for number, bar in enumerate(bars):
        if number and bar.group != bars[number - 1].group:
            y += GAP
        placed.append(
            {
                "y": y,
                "name": bar.name,
                "label": bar.label,
                "length": round(WIDTH * bar.value / longest, 1),
                "colour": COLOURS[bar.group % len(COLOURS)],
            }
        )
        y += BAR + 4
    path.parent.mkdir(parents=True, exist_ok=True)
    template = Environment(autoescape=True, keep_trailing_newline=True).from_string(_CHART)
    path.write_text(
        template.render(
            title=title,
            bars=placed,
            left=LEFT,
            thickness=BAR,
            width=LEFT + WIDTH + 150,
            height=y + (40 if limit else 16),
            limit=round(LEFT + WIDTH * limit / longest, 1) if limit else None,
            limit_name=limit_name,
        ),
        encoding="utf-8",
    )
