"""What an entry says for people beside its digests: counts, windows, outcomes, reasons; never a secret."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from insightmart.ledger.canonical import canonical_value
from insightmart.ledger.chain import Kind
from insightmart.ledger.evidence_tables import Covered, Row

NAMED = 50  # names that a list of an entry has at most
PASSED = "pass"
ERROR_LENGTH = 300


def particulars(covered: Sequence[Covered]) -> dict[str, Any]:
    """What there is to say of the rows of one entry."""
    found: dict[str, Any] = {}
    for one in covered:
        say = _SAYING.get(one.evidence.name)
        found |= say(one.rows) if say else {one.evidence.name: len(one.rows)}
    return found


def kind_of(covered: Sequence[Covered]) -> Kind:
    """What an entry is of: that of its first table, and of a run what its command does."""
    first = covered[0]
    command = first.rows[0]["command"] if first.evidence.name == "runs" else None
    return _KIND_BY_COMMAND.get(str(command), first.evidence.kind)


# commands whose run is an event of its own kind; `confirm` is of `insightmart deletions`
_KIND_BY_COMMAND = {
    "promote": Kind.PROMOTION,
    "restate": Kind.RESTATEMENT,
    "replay": Kind.REPLAY,
    "confirm": Kind.MANUAL,
    "erase": Kind.ERASURE,
    "retention": Kind.RETENTION,
    "restore": Kind.RESTORE,
    "setup": Kind.SETUP,
}


def _loads(rows: Sequence[Row]) -> dict[str, Any]:
    entities: Counter[str] = Counter()
    rejected = 0
    for row in rows:
        entities[str(row["entity"])] += int(row["rows"] or 0)
        rejected += int(row["rejected_rows"] or 0)
    errors = [str(row["error"])[:ERROR_LENGTH] for row in rows if row["error"]]
    return _without_nothing(
        {
            "source": rows[0]["source"],
            "rows": dict(entities),
            "rejected": rejected,
            "status": _counted(rows, "status"),
            "error": "; ".join(dict.fromkeys(errors)),
        }
    )


def _check_results(rows: Sequence[Row]) -> dict[str, Any]:
    first = rows[0]
    not_passed = {str(row["check_name"]): str(row["outcome"]) for row in rows if row["outcome"] != PASSED}
    return _without_nothing(
        {
            "gate": first["area"],
            "window": _window(rows),
            "as_of": canonical_value(first["as_of"]),
            "outcomes": _counted(rows, "outcome"),
            "not_passed": dict(list(not_passed.items())[:NAMED]),
            "run": first["run_id"],
        }
    )


def _correction_windows(rows: Sequence[Row]) -> dict[str, Any]:
    kinds = Counter(f"{row['source']} {row['entity']}" for row in rows)
    return {"closed": dict(kinds), "window": _window(rows)}


def _reconciliations(rows: Sequence[Row]) -> dict[str, Any]:
    return {"statuses": _counted(rows, "status")}


def _replays(rows: Sequence[Row]) -> dict[str, Any]:
    return {"resolved": dict(Counter(f"{row['source']} {row['entity']}" for row in rows))}


def _publications(rows: Sequence[Row]) -> dict[str, Any]:
    row = rows[0]
    return _without_nothing(
        {
            "published_at": canonical_value(row["published_at"]),
            "models_version": row["models_version"],
            "commit": row["git_sha"],
            "plan_id": row["plan_id"],
            "run": row["run_id"],
        }
    )


def _published_changes(rows: Sequence[Row]) -> dict[str, Any]:
    return {"cells": _counted(rows, "table_name"), "causes": _counted(rows, "cause")}


def _closes(rows: Sequence[Row]) -> dict[str, Any]:
    row = rows[0]
    names = ("status", "actor", "reason", "open_things")
    month = row["month_first"] and f"{row['month_first']:%Y-%m}"
    return _without_nothing({"month": month, **{name: row[name] for name in names}})


def _erasures(rows: Sequence[Row]) -> dict[str, Any]:
    row = rows[0]
    names = ("source", "customer_id", "actor", "reason")
    return {**{name: row[name] for name in names}, "emptied": json.loads(row["counts"] or "{}")}


def _purges(rows: Sequence[Row]) -> dict[str, Any]:
    row = rows[0]
    told = {name: row[name] for name in ("class", "actor", "rows", "ledger_through")}
    before = {"purged_before": canonical_value(row["purged_before"]), "as_of": canonical_value(row["as_of"])}
    return _without_nothing({**told, **before, "deleted": json.loads(row["counts"] or "{}")})


def _runs(rows: Sequence[Row]) -> dict[str, Any]:
    row = rows[0]
    try:
        summary = json.loads(row["summary"] or "{}")
    except ValueError:
        summary = row["summary"]
    return _without_nothing(
        {
            "command": row["command"],
            "as_of": canonical_value(row["as_of"]),
            "status": row["status"],
            "acted": row["actor"],
            "commit": row["git_sha"],
            "plan_id": row["plan_id"],
            "error": row["error"] and str(row["error"])[:ERROR_LENGTH],
            "summary": summary,
        }
    )


def _schema_version(rows: Sequence[Row]) -> dict[str, Any]:
    row = rows[0]
    return _without_nothing({"migration": row["name"], "acted": row["actor"], "commit": row["git_sha"]})


def _run_intervals(rows: Sequence[Row]) -> dict[str, Any]:
    return {"intervals": len(rows)}


def _run_problems(rows: Sequence[Row]) -> dict[str, Any]:
    return {"problems": [f"{row['kind']}: {row['subject']}" for row in rows][:NAMED]}


_SAYING: dict[str, Callable[[Sequence[Row]], dict[str, Any]]] = {
    "loads": _loads,
    "check_results": _check_results,
    "correction_windows": _correction_windows,
    "reconciliations": _reconciliations,
    "replays": _replays,
    "closes": _closes,
    "erasures": _erasures,
    "purges": _purges,
    "publications": _publications,
    "published_changes": _published_changes,
    "schema_version": _schema_version,
    "runs": _runs,
    "run_intervals": _run_intervals,
    "run_problems": _run_problems,
}


def _counted(rows: Sequence[Row], column: str) -> dict[str, int]:
    return dict(Counter(str(row[column]) for row in rows))


def _window(rows: Sequence[Row]) -> list[Any]:
    starts = [row["window_start"] for row in rows if row["window_start"] is not None]
    ends = [row["window_end"] for row in rows if row["window_end"] is not None]
    return [canonical_value(min(starts, default=None)), canonical_value(max(ends, default=None))]


def _without_nothing(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value not in (None, "", 0, [], {})}
