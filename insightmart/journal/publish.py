"""Writes the journal: what certified says now, against what the journal says it said.

Called before and after everything that SQLMesh does to prod, plain `sqlmesh` too (macros/journal.py). Every evaluation
of a followed part leaves a mark before it writes; dates without a mark are not read. Whatever kills a run, its marks
are there for the next one, and a comparison that finds no difference writes nothing: so the journal says what certified
says after the next run, however often this is repeated.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from ingestion.clock import utc_now
from ingestion.loading.horizon import AGGREGATES, RAW
from ingestion.warehouse import Warehouse
from insightmart.checkout import look_at
from insightmart.journal.digests import Columns, keep_digests, parts_of_facts
from insightmart.journal.followed import ANY, FOLLOWED, Followed, cells_of
from insightmart.journal.reasons import (
    EPOCH,
    Cause,
    Evaluated,
    PassedScan,
    QueuedCorrection,
    Reason,
    publication_at,
    reasons,
)
from insightmart.runs import current_run_id, plan_under_way
from insightmart.settings import load_settings
from insightmart.transform.model_graph import PROD, short_name

# How far back stock is compared where nothing was evaluated: corrections come up to 7 days late. Sales are few cells,
# and are compared whole.
STOCK_DAYS = 8
# Corrections closed before are not looked at: whatever closes one writes the journal.
CLOSED_SINCE = timedelta(days=30)

_STATE = """
    WITH latest AS (
        SELECT published_at, complete_at, recorded_at, models_version, published_through, followed
        FROM ops.publications
        ORDER BY publication DESC
        LIMIT 1
    )
    SELECT
        'mark' AS kind, model AS name, mark_id AS detail, window_start, window_end, NULL AS load_id, NULL AS replayed
    FROM ops.unpublished_windows
    UNION ALL
    SELECT 'correction', c.source || ' ' || c.entity, c.window_id, c.window_start, c.window_end, c.load_id, r.load_id
    FROM (
        SELECT * FROM ops.correction_windows WHERE status = 'open'
        UNION ALL
        SELECT * FROM ops.correction_windows
        WHERE status <> 'open' AND closed_at >= CAST('{closed_since}' AS TIMESTAMP_NTZ)
    ) AS c
    INNER JOIN latest AS l ON c.status = 'open' OR c.closed_at >= l.published_at
    LEFT JOIN (SELECT DISTINCT load_id FROM ops.replays) AS r ON r.load_id = c.load_id
    UNION ALL
    SELECT
        'publication', published_through, models_version, published_at, complete_at, followed, NULL
    FROM latest
    UNION ALL
    SELECT 'purge', class, NULL, MAX(purged_before), NULL, NULL, NULL FROM ops.purges GROUP BY class
"""
_SCANS = """
    UNION ALL
    SELECT 'scan', '{gate}', s.scan_id, s.window_start, s.window_end, NULL, NULL
    FROM gate.{gate} AS s
    INNER JOIN latest AS l ON s.scanned_at >= l.recorded_at
"""


@dataclass
class _State:
    """What there is to compare, and what the journal knows."""

    is_begun: bool
    followed: list[Followed]
    models_version: str | None
    complete_at: datetime | None
    through: dict[str, datetime]
    marks: list[str]
    evaluated: list[Evaluated]
    corrections: list[QueuedCorrection]
    scans: list[PassedScan]
    horizons: dict[str, datetime]  # class of ops.purges -> before when its rows were deleted


def publish(
    warehouse: Warehouse,
    as_of: datetime,
    models_version: str | None,
    pos_stores: Collection[int] = (),
    tables: Collection[str] | None = None,
    facts: Mapping[str, Columns] | None = None,
) -> list[str]:
    """Add to the journal what has changed in certified since it was last written.

    Args:
        warehouse: the connection that certified is written on.
        as_of: the run's now: when the figures are published.
        models_version: digest of the code behind certified (``version_of``); None where it is not known, before a run.
            With another one than the journal's everything is compared, and once a day everything that is small.
        pos_stores: stores that sell through the shop's point of sale as well.
        tables: certified tables that prod has; None before a run: those it had when the journal was last written.
        facts: parts of facts that prod has -> their columns; None before a run: the warehouse is asked.

    Returns:
        Statements that are left to execute: they drop the marks of what is in the journal now.
    """
    # before a run it hardly matters which scan it was, and the gates may not be there
    state = _read(warehouse, as_of, None if tables is None else [one for one in FOLLOWED if one.table in tables])
    if models_version is None and not (state.is_begun and state.marks):
        return []
    has_new_models = models_version is not None and models_version != state.models_version
    is_due = state.complete_at is None or as_of.date() > state.complete_at.date()
    is_sweep = models_version is not None and is_due
    if not state.followed or not (state.marks or has_new_models or is_sweep):
        return []
    record = _record(as_of)
    for followed in state.followed:
        found = {
            cells: reasons(followed, state.evaluated, state.corrections, state.scans, state.through, sources)
            for cells, sources in followed.sources_of_cells.items()
        }
        if has_new_models:  # hours were built again because of them
            found = {
                cells: [replace(one, cause=Cause.MODELS) if one.cause is Cause.RESTATED else one for one in told]
                for cells, told in found.items()
            }
        otherwise = Cause.MODELS if has_new_models else Cause.UNEXPLAINED
        if has_new_models:
            dates = "TRUE"
        else:
            ranges = [(one.first, one.last) for one in found[ANY]]
            dates = _dates([*ranges, *([_swept(followed, as_of)] if is_sweep else [])])
        if dates and (kept_from := state.horizons.get(AGGREGATES)):  # what retention deleted is no change of a figure
            dates = f"({dates} AND business_date >= DATE '{kept_from.date()}')"
        if dates:
            _compare(warehouse, followed, dates, found, otherwise, record, pos_stores)
    if has_new_models or state.evaluated:
        windows: dict[str, list[tuple[datetime, datetime]]] = {}
        for one in state.evaluated:
            windows.setdefault(one.part, []).append((one.start, one.end))
        columns = _columns_of_facts(warehouse) if facts is None else facts
        keep_digests(warehouse, columns, None if has_new_models else windows, record, state.horizons.get(RAW))
    warehouse.insert(
        "ops.publications",
        [
            record
            | {
                "windows": json.dumps([[one.part, f"{one.start}", f"{one.end}"] for one in state.evaluated]),
                "models_version": models_version or state.models_version,
                "followed": json.dumps([one.table for one in state.followed]),
                "published_through": json.dumps({part: f"{at}" for part, at in sorted(_through(state).items())}),
                "complete_at": as_of if has_new_models or is_sweep else state.complete_at,
            }
        ],
    )
    if not state.marks:
        return []
    marks = ", ".join(f"'{mark}'" for mark in state.marks)  # ids of our own: letters and digits
    return [f"DELETE FROM ops.unpublished_windows WHERE mark_id IN ({marks})"]


def publish_prod(evaluator: Any) -> list[str]:
    """``publish`` out of a macro in `before_all` or `after_all`, if SQLMesh is at work on prod; readers see it first.

    What they are not shown yet is in no entry, and its marks stay.

    Args:
        evaluator: SQLMesh's evaluator of macros; it knows the connection, the environment, and after a run the models.
    """
    from sqlmesh.utils.date import now, to_datetime

    from insightmart.transform.shown_tables import show

    if evaluator.this_env != PROD:
        return []
    told = to_datetime(evaluator.locals["execution_ts"])
    as_of = (told if told.year > EPOCH.year else now()).replace(tzinfo=None)  # 1970: nobody said
    adapter, is_after = evaluator.engine_adapter, evaluator.runtime_stage == "after_all"
    if not show(adapter, evaluator.snapshots if is_after else {}, has_ended=is_after):
        return []
    warehouse = Warehouse(adapter.connection, adapter.dialect)
    pairs = (pair.split("=") for pair in load_settings().shopify_pos_stores.split(",") if pair.strip())
    stores = [int(store) for _, store in pairs]
    if not is_after:
        return publish(warehouse, as_of, None, stores)
    certified = {
        name.removeprefix("certified."): snapshot
        for name, snapshot in ((short_name(name), snapshot) for name, snapshot in evaluator.snapshots.items())
        if name.startswith("certified.")
    }
    facts = {
        part: {
            name.lower(): kind.sql("snowflake") for name, kind in (certified[part].model.columns_to_types or {}).items()
        }
        for part in parts_of_facts()
        if part in certified
    }
    return publish(warehouse, as_of, version_of(evaluator.snapshots), stores, list(certified), facts)


def version_of(snapshots: Mapping[str, Any]) -> str:
    """Digest of the code behind the followed aggregates and facts: SQLMesh's fingerprints of them and of what they
    read."""
    return version_of_code(
        {name: (one.fingerprint.data_hash, one.fingerprint.parent_data_hash) for name, one in snapshots.items()}
    )


def version_of_code(fingerprints: Mapping[str, tuple[str, str]]) -> str:
    """The same of a project's models: SQLMesh's name -> the hashes of what it does and of what it reads."""
    names = {f"certified.{name}" for followed in FOLLOWED for name in (followed.table, *followed.parts)}
    names |= {f"certified.{part}" for part in parts_of_facts()}
    found = sorted(f"{name} {' '.join(hashes)}" for name, hashes in fingerprints.items() if short_name(name) in names)
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]


def _columns_of_facts(warehouse: Warehouse) -> dict[str, dict[str, str]]:
    """Parts of facts that certified has, with their columns, as the warehouse knows them."""
    found: dict[str, dict[str, str]] = {}
    for table, name, kind in warehouse.rows(
        "SELECT LOWER(table_name), LOWER(column_name), data_type FROM information_schema.columns"
        " WHERE LOWER(table_schema) = 'certified'"
    ):
        if table in parts_of_facts():
            found.setdefault(table, {})[name] = kind
    return found


def _read(warehouse: Warehouse, as_of: datetime, there: list[Followed] | None) -> _State:
    state = _State(False, there or [], None, None, {}, [], [], [], [], {})
    gates = [gate for followed in there or () for gate in followed.gates.values()]
    statement = _STATE.format(closed_since=as_of - CLOSED_SINCE)
    statement += "".join(_SCANS.format(gate=gate) for gate in gates)
    for kind, name, detail, start, end, load_id, replayed in warehouse.rows(statement):
        if kind == "mark":
            state.marks.append(detail)
            state.evaluated.append(Evaluated(start, _excluded(end), name))
        elif kind == "correction":
            source, entity = name.split(" ", 1)
            state.corrections.append(
                QueuedCorrection(start, end, source, entity, detail, load_id, replayed is not None)
            )
        elif kind == "purge":
            state.horizons[name] = start
        elif kind == "scan":
            state.scans.append(PassedScan(start, end, name, detail))
        else:
            state.is_begun, state.models_version, state.complete_at = True, detail, end
            if there is None:
                state.followed = [one for one in FOLLOWED if one.table in json.loads(load_id)]
            state.through = {part: datetime.fromisoformat(at) for part, at in json.loads(name).items()}
    # marks of a table that prod does not have yet wait for it
    parts = {part for followed in state.followed for part in followed.parts}
    known = [place for place, one in enumerate(state.evaluated) if one.part in parts]
    state.marks, state.evaluated = [state.marks[at] for at in known], [state.evaluated[at] for at in known]
    state.evaluated.sort(key=lambda one: (one.part, one.start, one.end))
    return state


def _excluded(last: datetime) -> datetime:
    """The first instant after a window, of which SQLMesh says the last microsecond."""
    return last + timedelta(microseconds=1) if last.microsecond == 999_999 else last


def _record(as_of: datetime) -> dict[str, Any]:
    now, code = utc_now(), look_at()
    return {
        "publication": publication_at(now),
        "published_at": as_of,
        "recorded_at": now,
        "run_id": current_run_id(),
        "plan_id": plan_under_way(),
        "git_sha": f"{code.commit}-dirty" if code.is_dirty else code.commit,
    }


def _through(state: _State) -> dict[str, datetime]:
    through = dict(state.through)
    for one in state.evaluated:
        through[one.part] = max(one.end, through.get(one.part, one.end))
    return through


def _swept(followed: Followed, as_of: datetime) -> tuple[date, date]:
    first = as_of.date() - timedelta(days=STOCK_DAYS) if followed.area == "inventory" else date(1970, 1, 1)
    return first, date(9999, 12, 31)


def _dates(ranges: Sequence[tuple[date, date]]) -> str:
    """A condition for business dates; ranges that meet are one. Empty for none."""
    merged: list[tuple[date, date]] = []
    for first, last in sorted(ranges):
        if merged and first.toordinal() <= merged[-1][1].toordinal() + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    between = [f"business_date BETWEEN DATE '{first}' AND DATE '{last}'" for first, last in merged]
    return f"({' OR '.join(between)})" if between else ""


def _compare(
    warehouse: Warehouse,
    followed: Followed,
    dates: str,
    found: Mapping[str, Sequence[Reason]],
    otherwise: Cause,
    record: Mapping[str, Any],
    pos_stores: Collection[int],
) -> None:
    """Write an entry for each cell of these dates that is another one than the journal says."""
    keys, measures = followed.keys, followed.measures
    same = " AND ".join(f"is_now.{key} = was.{key}" for key in keys)
    columns = {
        **{key: f"COALESCE(is_now.{key}, was.{key})" for key in keys},
        **{f"{name}_before": f"was.{name}" for name in measures},
        **{f"{name}_after": f"is_now.{name}" for name in measures},
        "cause": f"CASE WHEN was.business_date IS NULL THEN '{Cause.FIRST}'"
        " ELSE COALESCE(why.cause, anyhow.cause, ?) END",
        # what explains the cell itself; what else happened to its date only where nothing does
        **{
            name: f"CASE WHEN why.cause IS NULL THEN anyhow.{name} ELSE why.{name} END"
            for name in ("loads", "windows", "scan_ids")
        },
    }
    bound = ("publication", "published_at", "recorded_at", "run_id", "plan_id", "git_sha")
    reason = (
        "SELECT ? AS cells, CAST(? AS DATE) AS first_date, CAST(? AS DATE) AS last_date, ? AS cause, ? AS loads,"
        " ? AS windows, ? AS scan_ids"
    )
    told: list[tuple[Any, ...]] = [
        (cells, one.first, one.last, str(one.cause), one.loads, one.windows, one.scan_ids)
        for cells, explained in found.items()
        for one in explained
    ]
    why = " UNION ALL ".join([reason] * len(told)) or f"{reason} WHERE FALSE"
    date_of, store_of = (f"COALESCE(is_now.{key}, was.{key})" for key in ("business_date", "store_id"))
    bound_as = ("CAST(? AS TIMESTAMP)" if name.endswith("_at") else "?" for name in bound)
    warehouse.execute(
        f"""
        INSERT INTO ops.published_changes (table_name, {", ".join(bound)}, {", ".join(columns)})
        WITH why AS ({why}),
        is_now AS ({followed.cells.format(dates=dates)}),
        was AS (
            SELECT {", ".join(keys)}, {", ".join(f"{name}_after AS {name}" for name in measures)}
            FROM ops.published_changes
            INNER JOIN (
                SELECT {", ".join(keys)}, MAX(publication) AS publication
                FROM ops.published_changes
                WHERE table_name = '{followed.table}' AND {dates}
                GROUP BY {", ".join(keys)}
            ) AS latest USING ({", ".join(keys)}, publication)
            WHERE table_name = '{followed.table}' AND {dates}
        )
        SELECT '{followed.table}', {", ".join(bound_as)}, {", ".join(columns.values())}
        FROM is_now
        FULL OUTER JOIN was ON {same}
        LEFT JOIN why ON why.cells = {cells_of(store_of, pos_stores)}
            AND {date_of} BETWEEN why.first_date AND why.last_date
        LEFT JOIN why AS anyhow ON anyhow.cells = '{ANY}'
            AND {date_of} BETWEEN anyhow.first_date AND anyhow.last_date
        WHERE {" OR ".join(f"is_now.{name} IS DISTINCT FROM was.{name}" for name in measures)}
        ORDER BY {date_of}
        """,
        [*(value for row in told or [(None,) * 7] for value in row), *(record[name] for name in bound), str(otherwise)],
    )
