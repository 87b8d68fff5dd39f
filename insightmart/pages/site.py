"""All pages written: files that changed are replaced one by one, the start page last; and what is left of old runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from ingestion.warehouse import Warehouse
from insightmart.definitions.files import METRICS
from insightmart.definitions.metrics import read_metrics
from insightmart.pages.check_history import CheckHistory
from insightmart.pages.frame import rendered_or_less
from insightmart.pages.look_back import LookBack, look_back
from insightmart.pages.rejected_days import per_store
from insightmart.pages.start import page, summary
from insightmart.settings import PROJECT, Settings
from insightmart.status.facts import Facts, gather
from insightmart.status.page_file import replace_page
from insightmart.status.problems import needs_attention

RUNS_KEPT = 24 * 31  # pages of runs


def write_page(
    warehouse: Warehouse, settings: Settings, as_of: datetime, out: Path | None = None, facts: Facts | None = None
) -> Path:
    """Write the start page, and beside it the pages of datasets, stores and runs, each with what it says as JSON.

    A file that says what it said is left alone, so that only what changed has to be sent anywhere. A reader sees an old
    page or a new one, never half of it.

    Args:
        warehouse: open connection.
        settings: say where the home is.
        as_of: "now", UTC without a zone.
        out: folder of the pages; by default ``status`` in the home.
        facts: the state as of that instant, where it has been gathered already.

    Returns:
        Path of the start page, ``index.html``.

    Raises:
        InsightMartError: the folder cannot be written.
    """
    folder = out or settings.home / "status"
    facts = facts or gather(warehouse, settings, as_of)
    past = look_back(warehouse, facts)
    for name, text in _files(facts, past):
        _replace_if_other(folder / name, text)
    _forget_old_runs(folder / "runs")
    return folder / "index.html"


def _files(facts: Facts, past: LookBack) -> Iterator[tuple[str, str]]:
    """Every file with its text; the start page last, so that its links lead somewhere."""
    yield from _of_datasets(facts, past)
    yield from _of_stores(facts, past)
    yield from _of_runs(facts, past)
    yield "index.json", as_json(summary(facts, past))
    yield "index.html", page(facts, past)


def _of_datasets(facts: Facts, past: LookBack) -> Iterator[tuple[str, str]]:
    metrics = read_metrics(PROJECT / METRICS)
    checks: dict[str, list[CheckHistory]] = {}
    for check in past.checks:
        checks.setdefault(check.gate, []).append(check)
    problems = needs_attention(facts)
    for state in facts.datasets:
        table = state.dataset.table
        sources = {part.part.corrected_by for part in state.parts}
        values: dict[str, Any] = {
            "state": state,
            "metrics": [one for one in metrics if any(column.startswith(f"{table}.") for column in one.columns)],
            "checks": [check for gate in state.dataset.gates for check in checks.get(gate, [])],
            "corrections": [one for one in facts.corrections if (one.source, state.area.lower()) in sources],
            "changed": [one for one in facts.surprises if one.table == table],
            "problems": [one for one in problems if state.area.lower() in one.areas],
        }
        about = {"title": f"certified.{table}", "json_name": f"{table}.json"}
        yield f"datasets/{table}.html", rendered_or_less("dataset.html.j2", facts, "../", about | values)
        yield f"datasets/{table}.json", as_json({"as_of": facts.as_of, "table": table, **values})


def _of_stores(facts: Facts, past: LookBack) -> Iterator[tuple[str, str]]:
    if facts.hours is None:
        return
    rejected = per_store(past.rejected)
    for store in facts.hours.stores:
        values: dict[str, Any] = {
            "store": store,
            "days": past.weeks.by_store.get(store.store_id, ()) if past.weeks else (),
            "rejected": rejected.get(store.store_id, []),
            "start": facts.hours.start,
            "count": facts.hours.count,
        }
        name = f"stores/{int(store.store_id)}"
        about = {"title": f"Store {store.store_id} {store.name}", "json_name": f"{store.store_id}.json"}
        yield f"{name}.html", rendered_or_less("store.html.j2", facts, "../", about | values)
        yield f"{name}.json", as_json({"as_of": facts.as_of, **values})


def _of_runs(facts: Facts, past: LookBack) -> Iterator[tuple[str, str]]:
    for run in facts.runs:
        record = past.runs.get(run.run_id)
        if record is None or not re.fullmatch(r"[A-Za-z0-9_-]+", run.run_id):
            continue
        about = {"title": f"{run.command} of {run.as_of:%Y-%m-%d %H:%M} UTC", "json_name": f"{run.run_id}.json"}
        values = about | {"run": run, "record": record}
        yield f"runs/{run.run_id}.html", rendered_or_less("run.html.j2", facts, "../", values, is_lasting=True)
        yield f"runs/{run.run_id}.json", as_json({"run": run, "record": record})


def _replace_if_other(target: Path, text: str) -> None:
    try:
        if target.read_text(encoding="utf-8") == text:
            return
    except (OSError, UnicodeDecodeError):  # not there, or damaged
        pass
    replace_page(target, text)


def _forget_old_runs(folder: Path) -> None:
    """Pages of runs beyond the last month's; the warehouse has them still."""
    with suppress(OSError):  # somebody else removes them, or made them: the next time will do
        pages = sorted(folder.glob("*.html"), key=lambda page: page.stat().st_mtime, reverse=True)
        for page_of_run in pages[RUNS_KEPT:]:
            page_of_run.unlink(missing_ok=True)
            page_of_run.with_suffix(".json").unlink(missing_ok=True)


_SPOKEN = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME


def as_json(value: Any) -> str:
    """What a page says, as JSON: amounts are texts, so that they stay exact; instants are UTC."""
    return orjson.dumps(value, default=_plain, option=_SPOKEN).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
