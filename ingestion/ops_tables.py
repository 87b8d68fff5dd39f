"""The tables of ``ops`` as they are; ``migrations`` has the statements that create them and those of ``raw``.

A change here is a new file there as well.
"""

from __future__ import annotations

from contextlib import nullcontext

from ingestion.migrations import Migration, applied, apply, migrations
from ingestion.warehouse import Warehouse

# What the journal of publications keeps of each certified aggregate that it follows, before and after a change.
PUBLISHED_MEASURES: dict[str, dict[str, str]] = {
    "agg_sales_daily": {
        "orders": "BIGINT",
        "units": "BIGINT",
        **dict.fromkeys(
            (
                "gross_sales",
                "discounts",
                "returns",
                "net_sales",
                "taxes",
                "shipping",
                "duties",
                "fees",
                "total_sales",
                "tips",
                "gift_cards",
            ),
            "DECIMAL(38, 4)",
        ),
    },
    "agg_inventory_daily": dict.fromkeys(("products", "closing_on_hand", "counted_hours", "stockout_hours"), "BIGINT"),
}
_PUBLISHED = {
    f"{measure}_{when}": kind
    for measures in PUBLISHED_MEASURES.values()
    for measure, kind in measures.items()
    for when in ("before", "after")
}

# ops tables that plain SQL writes. Instants are UTC; *_sum are exact sums of the entity's money or quantity column.
OPS_TABLES: dict[str, str] = {
    # the migrations that the warehouse has had; checksum: of their statements
    "schema_version": """version BIGINT, name VARCHAR, checksum VARCHAR, applied_at TIMESTAMP_NTZ, actor VARCHAR,
        git_sha VARCHAR""",
    # one row a load package and entity: what the source said it has, what landed, what was rejected
    "loads": """load_id VARCHAR, source VARCHAR, entity VARCHAR, window_start TIMESTAMP_NTZ, window_end TIMESTAMP_NTZ,
        "ROWS" BIGINT, rejected_rows BIGINT, bytes BIGINT, source_count BIGINT, source_sum DECIMAL(38, 4),
        landed_sum DECIMAL(38, 4), content_hash VARCHAR, started_at TIMESTAMP_NTZ, ended_at TIMESTAMP_NTZ,
        seconds DECIMAL(18, 3), status VARCHAR, error VARCHAR, loaded_at TIMESTAMP_NTZ""",
    # how far each entity is known completely: every event before covered_through is in raw
    "source_watermarks": "source VARCHAR, entity VARCHAR, covered_through TIMESTAMP_NTZ, load_id VARCHAR,"
    " updated_at TIMESTAMP_NTZ",
    # long readings, and the pieces of each that are in raw (ingestion/loading/backfill.py)
    "backfills": """backfill_id VARCHAR, source VARCHAR, entity VARCHAR, window_start TIMESTAMP_NTZ,
        window_end TIMESTAMP_NTZ, as_of TIMESTAMP_NTZ, status VARCHAR, started_at TIMESTAMP_NTZ,
        ended_at TIMESTAMP_NTZ""",
    "backfill_pieces": 'backfill_id VARCHAR, piece VARCHAR, load_id VARCHAR, "ROWS" BIGINT, ended_at TIMESTAMP_NTZ',
    # columns that tables of a source have beyond the contract, and the raw columns they are loaded into
    "source_columns": """source VARCHAR, entity VARCHAR, source_column VARCHAR, source_type VARCHAR, raw_column VARCHAR,
        raw_type VARCHAR, first_seen_at TIMESTAMP_NTZ""",
    # each comparison of a day of changes: rows, sum of the keys, sum of the control column, and digest (the sum of the
    # hashes of all rows, computed by the source, and as they came with the rows), at the source and in raw.
    # status: equal; reloaded; deleted: what is missing in the shop got tombstones; or different: what stays after a
    # reload, such as rejects and keys the source holds twice, or is asked for
    "source_comparisons": """source VARCHAR, entity VARCHAR, day DATE, source_rows BIGINT, source_keys DECIMAL(38, 0),
        source_sum DECIMAL(38, 4), raw_rows BIGINT, raw_keys DECIMAL(38, 0), raw_sum DECIMAL(38, 4), status VARCHAR,
        compared_at TIMESTAMP_NTZ, load_id VARCHAR, source_digest DECIMAL(38, 4), raw_digest DECIMAL(38, 4)""",
    # rows that a source no longer shows, too many to be taken for deleted: who says whether they are
    # (ingestion/loading/deletions.py). day: of changes, NULL for a whole table; missing_keys: sum of digests of keys
    "deletion_questions": """question_id VARCHAR, source VARCHAR, entity VARCHAR, day DATE, window_start TIMESTAMP_NTZ,
        window_end TIMESTAMP_NTZ, rows_known BIGINT, rows_missing BIGINT, missing_keys DECIMAL(38, 0),
        asked_at TIMESTAMP_NTZ, state VARCHAR, confirmed_by VARCHAR, confirmed_at TIMESTAMP_NTZ, reason VARCHAR,
        closed_at TIMESTAMP_NTZ, load_id VARCHAR""",
    # event windows that a load touched after they had been released to the models; closed_at is of the run's "now",
    # settled_at of the real clock
    "correction_windows": """window_id VARCHAR, source VARCHAR, entity VARCHAR, window_start TIMESTAMP_NTZ,
        window_end TIMESTAMP_NTZ, reason VARCHAR, load_id VARCHAR, "ROWS" BIGINT, queued_at TIMESTAMP_NTZ,
        status VARCHAR, attempts BIGINT, last_error VARCHAR, closed_at TIMESTAMP_NTZ, plan_id VARCHAR,
        settled_at TIMESTAMP_NTZ""",
    # every object seen in the store drops, by key and content; content_hash is of the unpacked bytes of a gzipped one
    "files": """source VARCHAR, entity VARCHAR, file_name VARCHAR, etag VARCHAR, file_hash VARCHAR,
        content_hash VARCHAR, bytes BIGINT, modified_at TIMESTAMP_NTZ, store_id BIGINT, file_date DATE,
        file_hour TIMESTAMP_NTZ, "ROWS" BIGINT, rejected_rows BIGINT, status VARCHAR, reason VARCHAR,
        load_id VARCHAR, seen_at TIMESTAMP_NTZ""",
    # inventory files that were not there when their hour was released; arrived_at: it came after all
    "missing_files": "store_id BIGINT, file_hour TIMESTAMP_NTZ, missed_at TIMESTAMP_NTZ, arrived_at TIMESTAMP_NTZ,"
    " load_id VARCHAR",
    # what `insightmart quarantine replay` resolved: the rejected record or file, and the load that brought its rows
    # (NULL: they were in already). reject_key: the line for a line of a file, MD5 of the text for a record without one.
    # replayed_at is of the run's "now", recorded_at of the real clock
    "replays": """source VARCHAR, entity VARCHAR, reject_load_id VARCHAR, file_name VARCHAR, file_hash VARCHAR,
        reject_key VARCHAR, is_whole_file BOOLEAN, rule_id VARCHAR, load_id VARCHAR, replayed_at TIMESTAMP_NTZ,
        recorded_at TIMESTAMP_NTZ""",
    "runs": """run_id VARCHAR, command VARCHAR, as_of TIMESTAMP_NTZ, git_sha VARCHAR, gateway VARCHAR,
        environment VARCHAR, plan_id VARCHAR, status VARCHAR, error VARCHAR, started_at TIMESTAMP_NTZ,
        ended_at TIMESTAMP_NTZ, summary VARCHAR, actor VARCHAR""",
    # windows of certified parts that are (perhaps) written anew and not in the journal yet: one row an evaluation,
    # written before it (macros/journal.py); of the model `certified`: something is written that readers on Snowflake do
    # not see yet (insightmart/transform/shown_tables.py)
    "unpublished_windows": """mark_id VARCHAR, model VARCHAR, window_start TIMESTAMP_NTZ, window_end TIMESTAMP_NTZ""",
    # one row each time the journal was written: publication counts microseconds since 1970, published_at is the run's
    # now, recorded_at the clock's. published_through: part -> through when its hours are in the journal, as JSON.
    # models_version: digest of the code that the figures are made by; followed: tables that prod
    # had; complete_at: when all was compared last
    "publications": """publication BIGINT, published_at TIMESTAMP_NTZ, recorded_at TIMESTAMP_NTZ, run_id VARCHAR,
        plan_id VARCHAR, git_sha VARCHAR, models_version VARCHAR, followed VARCHAR, windows VARCHAR,
        published_through VARCHAR, complete_at TIMESTAMP_NTZ""",
    # the journal: one row for each cell that became another one. before NULL: the cell was not there; after NULL: it is
    # gone. cause: first, new hours, late rows, released, restated, changed rule or model, unexplained
    "published_changes": f"""publication BIGINT, table_name VARCHAR, business_date DATE, store_id BIGINT,
        channel VARCHAR, {", ".join(f"{name} {kind}" for name, kind in _PUBLISHED.items())}, cause VARCHAR,
        loads VARCHAR, windows VARCHAR, scan_ids VARCHAR, published_at TIMESTAMP_NTZ, recorded_at TIMESTAMP_NTZ,
        run_id VARCHAR, plan_id VARCHAR, git_sha VARCHAR""",
    # digests of the certified facts: one row for each hour of a part whose rows became other ones, with how many rows
    # there are since (insightmart/journal/digests.py); row_digest NULL: none are left
    "published_digests": """publication BIGINT, published_at TIMESTAMP_NTZ, recorded_at TIMESTAMP_NTZ, part VARCHAR,
        event_hour TIMESTAMP_NTZ, row_count BIGINT, row_digest DECIMAL(38, 4)""",
    # months that finance has closed, and opened again: events. publication: the last of the journal that belongs to it
    "closes": """close_id VARCHAR, month_first DATE, month_last DATE, status VARCHAR, publication BIGINT,
        closed_at TIMESTAMP_NTZ, recorded_at TIMESTAMP_NTZ, run_id VARCHAR, actor VARCHAR, reason VARCHAR,
        open_things VARCHAR""",
    # customers whose personal data was erased, and whose data is emptied whenever it comes again; customer_id as in
    # raw. status: begun (from then on nothing of them is loaded), done. counts: rows emptied by table, as JSON
    "erasures": """erasure_id VARCHAR, source VARCHAR, customer_id BIGINT, reason VARCHAR, actor VARCHAR,
        run_id VARCHAR, asked_at TIMESTAMP_NTZ, status VARCHAR, counts VARCHAR, recorded_at TIMESTAMP_NTZ""",
    # what `insightmart retention` deleted (ingestion/loading/horizon.py): class raw, aggregates or evidence; rows of
    # hours before purged_before, which counts from the moment it is begun. ledger_through: entries whose evidence went
    "purges": """purge_id VARCHAR, class VARCHAR, purged_before TIMESTAMP_NTZ, ledger_through BIGINT, status VARCHAR,
        "ROWS" BIGINT, counts VARCHAR, as_of TIMESTAMP_NTZ, run_id VARCHAR, actor VARCHAR, recorded_at TIMESTAMP_NTZ""",
    # settings that shape figures, as the warehouse was set up with them
    "settings": "name VARCHAR, value VARCHAR, recorded_at TIMESTAMP_NTZ",
    # what went wrong in a run, one row each: of what (kind and subject), what happened, what to do
    "run_problems": "run_id VARCHAR, kind VARCHAR, subject VARCHAR, message VARCHAR, cure VARCHAR,"
    " recorded_at TIMESTAMP_NTZ",
    "run_intervals": """run_id VARCHAR, model VARCHAR, snapshot_version VARCHAR, fingerprint VARCHAR,
        interval_start TIMESTAMP_NTZ, interval_end TIMESTAMP_NTZ, "ROWS" BIGINT, seconds DECIMAL(18, 3),
        audits_passed BIGINT, audits_failed BIGINT, status VARCHAR, recorded_at TIMESTAMP_NTZ""",
    "check_results": """run_id VARCHAR, scan_id VARCHAR, area VARCHAR, check_name VARCHAR, dataset VARCHAR,
        severity VARCHAR, outcome VARCHAR, value VARCHAR, definition VARCHAR, window_start TIMESTAMP_NTZ,
        window_end TIMESTAMP_NTZ, environment VARCHAR, snapshot_versions VARCHAR, scanned_at TIMESTAMP_NTZ,
        as_of TIMESTAMP_NTZ""",
    # what was done and by whom, each entry with the hash of the one before and digests of the rows it speaks of:
    # nothing here is ever updated or deleted (insightmart/ledger)
    "ledger": """sequence BIGINT, entry_id VARCHAR, recorded_at TIMESTAMP_NTZ, kind VARCHAR, subject VARCHAR,
        run_id VARCHAR, actor VARCHAR, git_sha VARCHAR, is_dirty BOOLEAN, lock_hash VARCHAR, models_hash VARCHAR,
        details VARCHAR, digests VARCHAR, previous_hash VARCHAR, entry_hash VARCHAR""",
    # what reconciliations count: rows and money or pieces of each layer, by UTC hour of the event; of hours that may
    # still change. control: the file of insightmart/reconciliation/sql that says what is to be counted
    "control_totals": """control VARCHAR, entity VARCHAR, layer VARCHAR, event_hour TIMESTAMP_NTZ, business_date DATE,
        store_id BIGINT, row_count BIGINT, amount DECIMAL(38, 4)""",
    # which dates each control compared when (NULL: none), and through when the hours of each gate were counted.
    # reach: changes, horizon (the daily sweep) or asked (dates that somebody gave)
    "reconciled": """run_id VARCHAR, control VARCHAR, business_date DATE, through TIMESTAMP_NTZ, reach VARCHAR,
        as_of TIMESTAMP_NTZ, reconciled_at TIMESTAMP_NTZ""",
    # store_id NULL: over all stores, with how many comparisons it adds up and how many of them match
    "reconciliations": """run_id VARCHAR, as_of TIMESTAMP_NTZ, entity VARCHAR, control VARCHAR, business_date DATE,
        store_id BIGINT, measure VARCHAR, source_total DECIMAL(38, 4), raw_total DECIMAL(38, 4),
        core_total DECIMAL(38, 4), certified_total DECIMAL(38, 4), excluded_total DECIMAL(38, 4),
        quarantined_total DECIMAL(38, 4), difference DECIMAL(38, 4), status VARCHAR, reconciled_at TIMESTAMP_NTZ,
        comparisons BIGINT, matched BIGINT""",
    # what people were told: one row each time an incident was told, or (incident_key 'daily') the daily report was
    # sent. change: opened, again, worse, reminder, recovered, daily; affects: a list as JSON; thread: what its messages
    # have in common; messages, reminders, returns: how many so far; told_at is of the run's "now"
    "notifications": """incident_key VARCHAR, thread VARCHAR, change VARCHAR, subject VARCHAR, title VARCHAR,
        severity VARCHAR, affects VARCHAR, owner VARCHAR, opened_at TIMESTAMP_NTZ, told_at TIMESTAMP_NTZ,
        is_open BOOLEAN, messages BIGINT, reminders BIGINT, returns BIGINT, told_to VARCHAR, business_date DATE,
        run_id VARCHAR, recorded_at TIMESTAMP_NTZ""",
}


def create_tables(
    warehouse: Warehouse,
    actor: str | None = None,
    git_sha: str | None = None,
    raw_owner: Warehouse | None = None,
) -> list[Migration]:
    """Bring the schemas ``raw`` and ``ops`` to the version of this code: one question, where nothing is to do.

    What a warehouse may refuse is said in ``insightmart.schema_version``; here nothing is refused.

    Args:
        warehouse: of any earlier version, or empty.
        actor: who does it.
        git_sha: commit of the code.
        raw_owner: connection whose role is to own the tables of ``raw``; None: the same.

    Returns:
        What was applied.
    """
    had = applied(warehouse)
    due = [migration for migration in migrations() if migration.version not in had]
    for migration in due:
        # DuckDB writes a file anew with each statement that is a transaction of its own
        with warehouse.transaction() if warehouse.dialect == "duckdb" else nullcontext():
            apply(warehouse, migration, actor, git_sha, raw_owner)
    return due


def table_statements() -> list[str]:
    """What an earlier version of ``macros/source_tables.py`` executes, each of which may be repeated.

    SQLMesh keeps the macros that prod was built with and calls them before each of its runs, until prod is planned
    anew. A warehouse that was built before there were versions asks for this
    (tests/insightmart/transform/test_earlier_macros.py).
    """
    return [statement for migration in migrations() for statement in migration.statements]
