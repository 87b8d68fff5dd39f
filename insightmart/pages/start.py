"""The start page: what can be trusted, what is held back, what to do, and how the last weeks were."""

from __future__ import annotations

from typing import Any

from insightmart.certification.verdict import DatasetState
from insightmart.definitions.files import METRICS
from insightmart.definitions.metrics import read_metrics
from insightmart.pages.charts import rejected_chart, weeks_chart
from insightmart.pages.frame import due, rendered_or_less
from insightmart.pages.look_back import LookBack
from insightmart.pages.service_levels import PROMISED_MINUTES, PROMISED_RUNS
from insightmart.settings import PROJECT
from insightmart.status.facts import QUARANTINE_DAYS, Facts
from insightmart.status.headline import explanation, headline, level
from insightmart.status.problems import needs_attention

SHOWN = 25  # lines of a table
SOURCES = {
    "oltp": "OLTP (PostgreSQL): store and phone sales",
    "shopify": "Shopify: online sales",
    "stores": "Store files (S3)",
}
CONTROLS = {
    "loads": "Source = raw, load by load",
    "rows": "Raw = staging + quarantine, staging = core, core = certified",
    "levels": "Orders = hourly = daily figures",
    "order_totals": "The total an order states = its parts",
    "tills": "Store tills = certified store sales",
    "shop_reports": "The online shop's own sales report = certified sales of the shop",
}


def page(facts: Facts, past: LookBack | None = None) -> str:
    """The start page as HTML, complete in itself.

    Args:
        facts: the state of now.
        past: the last days and weeks; None leaves them out.
    """
    areas: dict[str, list[DatasetState]] = {}
    for state in facts.datasets:
        areas.setdefault(state.area, []).append(state)
    problems = needs_attention(facts)
    values = {
        "past": past,
        "problems": problems,
        "owners": sorted({problem.owner for problem in problems if problem.owner}),
        "areas": areas,
        "headline": headline(facts),
        "explanation": explanation(facts),
        "level": level(facts),
        "shown": SHOWN,
        "quarantine_days": QUARANTINE_DAYS,
        "source_names": SOURCES,
        "control_names": CONTROLS,
        "metrics": read_metrics(PROJECT / METRICS),
        "weeks_chart": weeks_chart,
        "rejected_chart": rejected_chart,
        "promised_runs": PROMISED_RUNS,
        "promised_minutes": PROMISED_MINUTES,
    }
    return rendered_or_less("status.html.j2", facts, "", values)


def verdict(facts: Facts) -> dict[str, Any]:
    """Can the numbers be trusted, and what needs somebody, for programs."""
    return {
        "as_of": facts.as_of,
        "generated_at": facts.generated_at,
        "level": level(facts),
        "headline": headline(facts),
        "explanation": explanation(facts),
        "certified_through": facts.through,
        "problems": needs_attention(facts),
        "parts": [
            {"part": state.part.name, "verdict": state.verdict, "why": state.why, "certified_through": state.through}
            for state in facts.parts
        ],
    }


def summary(facts: Facts, past: LookBack) -> dict[str, Any]:
    """What the start page says, for programs: texts, numbers, instants in UTC; amounts are texts, so that they stay
    exact."""
    return verdict(facts) | {
        "due": due(facts),
        "datasets": [
            {"table": state.dataset.table, "exists": state.exists, "verdict": state.verdict} for state in facts.datasets
        ],
        "service": past.service,
        "sales": facts.sales,
        "corrections": facts.corrections,
        "changed": facts.surprises,
        "closes": past.closes,
        "rejected": past.rejected,
        "stores": facts.hours.incomplete if facts.hours else [],
        "runs": facts.runs,
    }
