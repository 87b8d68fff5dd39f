"""What all pages have in common: the frame, the style, the one script and what a browser may do with them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import structlog
from markupsafe import Markup

from insightmart.pages.charts import sparkline
from insightmart.pages.service_levels import PROMISED_MINUTES
from insightmart.status.facts import Facts
from insightmart.status.rendering import NOTHING, TEMPLATES, render

A_LONG_CYCLE = timedelta(days=2)  # a first load, or one after an outage; more is a page made as if it were another time

log = structlog.get_logger()


def rendered(template: str, facts: Facts, to_start: str, values: Mapping[str, Any], *, is_lasting: bool = False) -> str:
    """A page as HTML.

    Args:
        template: its file.
        facts: say of which instant it is.
        to_start: the way from its folder to the start page's: empty, or ``../``.
        values: what the template needs besides.
        is_lasting: it stays as it is, and is never too old.
    """
    script, digest = _script()
    return render(
        template,
        facts=facts,
        to_start=to_start,
        is_lasting=is_lasting,
        due=due(facts),
        script=script,
        script_digest=digest,
        nothing=NOTHING,
        sparkline=sparkline,
        **values,
    )


def due(facts: Facts) -> datetime | None:
    """By when the next page has to be there, UTC; who reads this one later has a pipeline that stands still.

    None for a page that was made as if it were another time.
    """
    is_now = abs(facts.generated_at - facts.as_of) < A_LONG_CYCLE
    return facts.as_of + timedelta(minutes=PROMISED_MINUTES) if is_now else None


def rendered_or_less(
    template: str, facts: Facts, to_start: str, values: Mapping[str, Any], *, is_lasting: bool = False
) -> str:
    """The same; with a value that the template cannot take, a page that says what is known and that the rest is not."""
    try:
        return rendered(template, facts, to_start, values, is_lasting=is_lasting)
    except Exception as error:  # noqa: BLE001 whatever a value does to a template, readers hear of the rest
        log.warning("a page says less than it should", template=template, error=f"{type(error).__name__}: {error}")
        known = {"title": "InsightMart data status", "headline": "Unknown", "json_name": "index.json", **values}
        known["lines"] = [f"{one.title}. {one.action}" for one in values.get("problems") or ()]
        return rendered("less.html.j2", facts, to_start, known, is_lasting=is_lasting)


@cache
def _script() -> tuple[Markup, str]:
    """The script, and its digest: a browser runs no other one on these pages."""
    text = (TEMPLATES / "pages.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return Markup(text), f"sha256-{digest}"
