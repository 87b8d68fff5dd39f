"""Charts as SVG, drawn by Vega-Lite; they take their colours from the page, and need no script to be read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from insightmart.pages.check_history import CheckHistory
from insightmart.pages.rejected_days import RejectedDay
from insightmart.pages.store_sales import WeekDay

WIDTH, HEIGHT = 640, 190
_SOFT, _LINE = "var(--soft)", "var(--line)"
_CONFIG = {
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "labelColor": _SOFT,
        "titleColor": _SOFT,
        "domainColor": _LINE,
        "tickColor": _LINE,
        "gridColor": _LINE,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "legend": {"labelColor": "var(--ink)", "labelFontSize": 12, "orient": "top", "title": None},
}
_FEW = {"tickCount": 4, "format": "~s"}
_ENTITIES = ("var(--bad)", "var(--warning)", "var(--note)", "var(--good)", "var(--soft)", "var(--link)")


def weeks_chart(days: Sequence[WeekDay], currency: str) -> Markup:
    """Net sales of seven business dates, each beside the same weekday of the week before."""
    values = [
        {"day": f"{day.business_date:%a %d %b}", "week": week, "amount": float(amount)}
        for day in days
        for week, amount in (("this week", day.net_sales), ("week before", day.week_before))
        if amount is not None
    ]
    return _svg(
        values,
        {
            "mark": {"type": "bar", "cornerRadiusEnd": 2},
            "encoding": {
                "x": {"field": "day", "type": "ordinal", "sort": None, "title": None, "axis": {"labelAngle": 0}},
                "xOffset": {"field": "week", "sort": ["week before", "this week"]},
                "y": {"field": "amount", "type": "quantitative", "title": f"net sales, {currency}", "axis": _FEW},
                "color": {
                    "field": "week",
                    "scale": {"domain": ["week before", "this week"], "range": ["var(--line)", "var(--link)"]},
                },
            },
        },
        "Net sales by business date against the same weekday of the week before",
    )


def rejected_chart(days: Sequence[RejectedDay]) -> Markup:
    """Rejected rows by day and entity."""
    counted: dict[tuple[str, str], int] = {}
    for one in reversed(days):
        key = (f"{one.day:%d %b}", one.entity.replace("_", " ", 1))
        counted[key] = counted.get(key, 0) + one.rows
    values = [{"day": day, "entity": entity, "rows": rows} for (day, entity), rows in counted.items()]
    return _svg(
        values,
        {
            "mark": {"type": "bar"},
            "encoding": {
                "x": {"field": "day", "type": "ordinal", "sort": None, "title": None, "axis": {"labelAngle": 0}},
                "y": {"field": "rows", "type": "quantitative", "title": "rows rejected", "axis": _FEW},
                "color": {"field": "entity", "scale": {"range": list(_ENTITIES)}},
            },
        },
        "Rejected rows by day and entity",
    )


def sparkline(check: CheckHistory) -> Markup:
    """The newest results of a check as bars, oldest first: low and green passed, high and red did not."""
    bars: dict[str, list[str]] = {"pass": [], "other": []}
    for place, point in enumerate(check.points):
        kind = "pass" if point.outcome == "pass" else "other"
        bars[kind].append(f"M{place},{7 if kind == 'pass' else 0}h.8v{3 if kind == 'pass' else 10}h-.8z")
    label = f"{check.failed} of {check.results} results did not pass"
    return Markup(
        '<svg class="spark" viewBox="0 0 {} 10" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<path class="in" d="{}"/><path class="missing" d="{}"/></svg>'
    ).format(max(len(check.points), 24), label, "".join(bars["pass"]), "".join(bars["other"]))


def _svg(values: Sequence[Mapping[str, Any]], spec: Mapping[str, Any], label: str) -> Markup:
    """A chart; empty where there is nothing to draw."""
    if not values:
        return Markup("")
    import vl_convert

    text = vl_convert.vegalite_to_svg(
        {"width": WIDTH, "height": HEIGHT, "data": {"values": list(values)}, "config": _CONFIG, **spec}
    )
    # inline in HTML an SVG needs no namespaces, and grows with its place
    text = re.sub(r' xmlns(:xlink)?="[^"]*"', "", text, count=2)
    found = re.match(r'<svg version="1.1" class="marks" width="(\d+)" height="(\d+)"', text)
    if found is None:
        raise ValueError("Vega's SVG begins otherwise than it did")
    head = Markup('<svg class="chart" role="img" aria-label="{}"').format(label)
    return head + Markup(text[found.end() :])
