"""The warehouse and SQLMesh's state belong together: what is said where one is damaged, or lost beside the other.

Nothing is changed then: a warehouse without its state would be built anew beside what is certified, a state without its
warehouse believes that all is done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import duckdb

from ingestion.loading.horizon import EVIDENCE, purged_before
from ingestion.warehouse import Warehouse
from insightmart.errors import InsightMartError
from insightmart.settings import Settings

RESTORE = (
    "`insightmart restore` puts the warehouse and its state back as they were backed up together; the next cycle"
    " catches up from the sources"
)
_BRING_BACK = (
    "Bring both back to one instant: Snowflake by Time Travel, the state database by its snapshot"
    " (docs/where-things-are-kept.md)"
)
_UNTOUCHED = "; nothing was changed"
# of DuckDB 1.5, whose error classes do not tell a damaged file from one that is in use
_DAMAGED = re.compile(r"not a valid DuckDB database file|Corrupt database|Could not read enough bytes|Is a directory")


def damaged(file: Path, error: Exception) -> InsightMartError | None:
    """What is said of a file of DuckDB that it cannot read; None where the error is another one."""
    if not _DAMAGED.search(str(error)):
        return None
    said = str(error).splitlines()[0].rstrip("!.")
    return InsightMartError(f"{file} is damaged: {said}", RESTORE)


def refuse_lost_file(settings: Settings) -> None:
    """Before a local warehouse is made: there was one, if the state beside it knows an environment.

    Raises:
        InsightMartError: the warehouse's file is lost, or the state's is damaged.
    """
    file = settings.state_path
    if settings.gateway != "local" or settings.database_path.exists() or not file.exists():
        return
    try:
        with duckdb.connect(str(file), read_only=True) as state:
            known = state.execute("SELECT COUNT(*) FROM sqlmesh._environments").fetchone()
    except duckdb.CatalogException:  # SQLMesh has opened it, and kept nothing yet
        return
    except duckdb.IOException as error:
        if told := damaged(file, error):
            raise told from None
        return  # in use: whoever has it has a warehouse too
    if known and known[0]:
        raise InsightMartError(
            f"{settings.database_path} is lost, and the state beside it believes all is done{_UNTOUCHED}", RESTORE
        )


def refuse_lost_state(warehouse: Warehouse, settings: Settings) -> None:
    """Where the state knows no environment: nothing may be published yet.

    Raises:
        InsightMartError: the state is lost.
    """
    if _has_tables(warehouse, "certified"):
        where = str(settings.state_path) if settings.gateway == "local" else "in the state database"
        raise InsightMartError(
            f"SQLMesh's state, {where}, is lost: tables are certified, and it knows of none{_UNTOUCHED}",
            _cure(settings),
        )


def refuse_lost_warehouse(warehouse: Warehouse, settings: Settings) -> None:
    """Where the state knows prod, and no cycle of this warehouse has ended yet: its tables have to be there.

    Raises:
        InsightMartError: the warehouse is lost.
    """
    if not _has_tables(warehouse, "sqlmesh__certified"):
        raise InsightMartError(
            f"the warehouse is lost: it has no table of SQLMesh's, whose state believes all is done{_UNTOUCHED}",
            _cure(settings),
        )


def refuse_earlier_warehouse(
    warehouse: Warehouse, settings: Settings, gated: Mapping[str, datetime], published: datetime | None
) -> None:
    """The state of a later moment than the warehouse has hours done that nobody would build any more.

    What is scanned is written down before the state hears of it, so that a kill never leaves it that way: one of the
    two was brought back without the other. After a cycle that published all that was due there is nothing to ask; an
    hour whose source could not be read in one may have been done by the one after it.

    Args:
        warehouse: open connection.
        settings: say how both are brought back.
        gated: gate -> end of what the state has as done, UTC (``Transformer.gated_through``).
        published: instant of the last cycle that published all that was due, as the warehouse knows it; None: of none.

    Raises:
        InsightMartError: the warehouse is of an earlier moment.
    """
    unknown = {gate: end for gate, end in gated.items() if published is None or end > published}
    if not unknown:
        return
    horizon = purged_before(warehouse, EVIDENCE)  # scans of before it were deleted
    kept = {gate: end for gate, end in unknown.items() if horizon is None or end > horizon}
    if not kept:
        return
    marks = ", ".join("?" * len(kept))
    statement = f"SELECT area, MAX(window_end) FROM ops.check_results WHERE area IN ({marks}) GROUP BY area"
    scanned = dict(warehouse.rows(statement, list(kept)))
    behind = {gate: end for gate, end in kept.items() if gate not in scanned or scanned[gate] < end}
    if behind:
        gate, end = max(behind.items(), key=lambda item: item[1])
        until = f"to {scanned[gate]:%Y-%m-%d %H:%M} UTC" if gate in scanned else "nothing"
        raise InsightMartError(
            f"the warehouse is of an earlier moment than SQLMesh's state, which has gate.{gate} done to"
            f" {end:%Y-%m-%d %H:%M} UTC where the warehouse has {until}{_UNTOUCHED}",
            _cure(settings),
        )


def _cure(settings: Settings) -> str:
    return RESTORE if settings.gateway == "local" else _BRING_BACK


def _has_tables(warehouse: Warehouse, schema: str) -> bool:
    statement = "SELECT COUNT(*) FROM information_schema.tables WHERE LOWER(table_schema) = ?"
    return bool(warehouse.value(statement, [schema]))
