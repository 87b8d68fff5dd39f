"""One static page that says what can be trusted, what is held back, and what to do."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path

from ingestion.warehouse import Warehouse
from insightmart.certification.verdict import DatasetState
from insightmart.definitions.files import METRICS
from insightmart.definitions.metrics import read_metrics
from insightmart.errors import InsightMartError
from insightmart.settings import PROJECT, Settings
from insightmart.status.facts import QUARANTINE_DAYS, Facts, gather
from insightmart.status.headline import explanation, headline, level
from insightmart.status.problems import needs_attention
from insightmart.status.rendering import NOTHING, render

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


def page(facts: Facts) -> str:
    """The page as HTML, complete in itself."""
    areas: dict[str, list[DatasetState]] = {}
    for state in facts.datasets:
        areas.setdefault(state.area, []).append(state)
    return render(
        "status.html.j2",
        facts=facts,
        problems=needs_attention(facts),
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
    return replace_page(folder / "index.html", page(gather(warehouse, settings, as_of)))


def replace_page(target: Path, text: str) -> Path:
    """Write a page all at once, and the folder it lies in.

    Raises:
        InsightMartError: the folder cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
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
