"""One static page that says what can be trusted, what is held back, and what to do."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path

from ingestion.warehouse import Warehouse
from insightmart.certification.verdict import DatasetState, Verdict, spoken
from insightmart.definitions.files import METRICS
from insightmart.definitions.metrics import read_metrics
from insightmart.errors import InsightMartError
from insightmart.settings import PROJECT, Settings
from insightmart.status.facts import QUARANTINE_DAYS, Facts, gather
from insightmart.status.rendering import LEVELS, NOTHING, render

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
    "tills": "Store tills = certified store sales",
}


def headline(facts: Facts) -> str:
    """The verdict over everything, in a few words."""
    names = {verdict: [s.part.name for s in facts.parts if s.verdict is verdict] for verdict in Verdict}
    for verdict in (Verdict.HELD_BACK, Verdict.MISSING, Verdict.LATE):
        if names[verdict]:
            return f"{_upper(_list(names[verdict]))}: {verdict}"
    if facts.reconciliation and facts.reconciliation.failed:
        return "Certified, but totals do not tie"
    if names[Verdict.CORRECTIONS]:
        return "Certified; late corrections are pending"
    return "All certified data can be trusted"


def explanation(facts: Facts) -> str:
    """One sentence below the headline: what still holds."""
    if facts.held_back:
        since = min(state.held_since for state in facts.held_back if state.held_since)
        kept = f"Figures before {spoken(since)} are certified and stay as they are."
        unaffected = ", ".join(state.part.name for state in facts.unaffected)
        return f"{kept} Not affected: {unaffected}." if unaffected else kept
    if facts.through is None:
        return "Some sources have nothing certified yet; the tables below say which."
    through = f"Everything that happened before {spoken(facts.through)} is certified"
    if facts.verdict is Verdict.LATE:
        return f"{through}; what is missing is named below."
    if facts.verdict is Verdict.CORRECTIONS:
        return f"{through}; some of it has changed at its source since and is certified again by the next cycles."
    return f"{through}, and nothing is held back or waiting."


def level(facts: Facts) -> str:
    """good, note, warning or bad."""
    if facts.reconciliation and facts.reconciliation.failed:
        return "bad"
    return LEVELS[facts.verdict]


def page(facts: Facts) -> str:
    """The page as HTML, complete in itself."""
    areas: dict[str, list[DatasetState]] = {}
    for state in facts.datasets:
        areas.setdefault(state.area, []).append(state)
    return render(
        "status.html.j2",
        facts=facts,
        areas=areas,
        headline=headline(facts),
        explanation=explanation(facts),
        level=level(facts),
        shown=SHOWN,
        nothing=NOTHING,
        quarantine_days=QUARANTINE_DAYS,
        source_names=SOURCES,
        control_names=CONTROLS,
        metrics=read_metrics(PROJECT / METRICS),
    )


def write_page(warehouse: Warehouse, settings: Settings, as_of: datetime, out: Path | None = None) -> Path:
    """Write the status page, all at once: a reader sees the old page or the new one, never half of it.

    Args:
        warehouse: open connection.
        settings: says where the home is.
        as_of: "now", UTC without a zone.
        out: folder of the page; by default ``status`` in the home.

    Returns:
        Path of the written ``index.html``.

    Raises:
        InsightMartError: the folder cannot be written.
    """
    folder = out or settings.home / "status"
    text = page(gather(warehouse, settings, as_of))
    target = folder / "index.html"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(target, text)
    except OSError as error:
        raise InsightMartError(
            f"{target} cannot be written: {error.strerror}", "Choose a folder you may write to (--out)"
        ) from None
    return target


def _write(target: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".index-", suffix=".html")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
