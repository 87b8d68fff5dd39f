"""What is too old goes, on a warehouse that the real project has built; and no figure changes by it, whoever asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion.contracts import ENTITIES
from ingestion.loading import correction_queue
from ingestion.loading.context import IngestContext, Window
from ingestion.loading.correction_queue import Correction
from ingestion.warehouse import Warehouse, open_duckdb
from insightmart.retention import purge
from insightmart.retention.deletions_of import deletions, time_of
from insightmart.settings import Settings
from insightmart.transform.model_graph import layer, own_models
from tests.support.built_homes import SHAPE, copy_home, once_a_run, project_in
from tests.support.workshop import CommandLine, Workshop

pytestmark = pytest.mark.slow

NOW = datetime(2028, 3, 8, 0, 5)  # raw goes of before March 8, 2026, and its rows of before the 6th
HORIZON = datetime(2026, 3, 8)
CUT = datetime(2026, 3, 6)
CERTIFIED = ("agg_sales_daily", "agg_sales_hourly", "agg_inventory_daily", "row_counts", "inventory_coverage")


def close_month(warehouse: Warehouse, month: date = date(2026, 3, 1)) -> None:
    closed = {"close_id": f"c{month}", "month_first": month, "month_last": month, "status": "closed"}
    warehouse.insert("ops.closes", [closed | {"recorded_at": datetime(2026, 5, 1), "publication": 1}])


@pytest.fixture(scope="module")
def old_home(built_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built home two years later, with a customer who moved and a rejected file, its month closed."""

    def build(home: Path) -> None:
        copy_home(built_home, home)
        with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
            close_month(warehouse)
            load = {"_dlt_load_id": "1772700000.1"}
            ada = {"customer_id": 1, "email": "ada@old.example", "city": "Ockham", "country": "GB"}
            ada |= {"updated_at": datetime(2026, 3, 1), "_loaded_at": datetime(2026, 3, 5)}
            moved = ada | {"email": "ada@new.example", "updated_at": datetime(2026, 3, 4)}
            warehouse.insert("raw.oltp_customers", [ada | load, moved | load])
            rejected = {"source": "stores", "entity": "inventory", "is_whole_file": True, "rule_id": "empty"}
            rejected |= {"file_name": "a.csv", "file_hash": "cafe", "rejected_at": datetime(2026, 3, 5)}
            warehouse.insert("raw.rejects", [rejected | load | {"_loaded_at": datetime(2026, 3, 5)}])
        (home / "quarantine").mkdir()
        (home / "quarantine" / "cafe").write_bytes(b"a;b")

    return once_a_run(tmp_path_factory, "old", build)


@pytest.fixture(scope="module")
def purged_home(old_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after `insightmart retention --apply`."""

    def build(home: Path) -> None:
        copy_home(old_home, home)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**SHAPE, "INSIGHTMART_HOME": str(home), "INSIGHTMART_GATEWAY": "local"}.items():
                patch.setenv(name, value)
            settings = Settings(_env_file=None)  # type: ignore[call-arg]
            with open_duckdb(settings.database_path) as warehouse:
                found = purge.survey(warehouse, settings, NOW, give_up_rejects=True)
                purge.apply(warehouse, settings, found, NOW, "retention-1", "ada", lambda _: None)

    return once_a_run(tmp_path_factory, "purged", build)


@pytest.fixture(autouse=True)
def two_years_later(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of a test are made first: they let none of the shell's through."""
    monkeypatch.setenv("INSIGHTMART_AS_OF", NOW.isoformat())


@pytest.fixture
def home(old_home: Path, settings: Settings) -> Path:
    return copy_home(old_home, settings.home)


@pytest.fixture
def purged(purged_home: Path, settings: Settings) -> Path:
    return copy_home(purged_home, settings.home)


def rows(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        return warehouse.rows(sql)


def figures(home: Path) -> dict[str, list[tuple[Any, ...]]]:
    return {name: rows(home, f"SELECT * FROM certified.{name} ORDER BY ALL") for name in CERTIFIED}


def everything(home: Path) -> list[tuple[Any, ...]]:
    """How many rows each table has."""
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        names = warehouse.rows(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal AND database_name = 'INSIGHTMART'"
        )
        return sorted(
            (schema, name, warehouse.value(f'SELECT COUNT(*) FROM "{schema}"."{name}"')) for schema, name in names
        )


def test_a_dry_run_counts_and_changes_nothing(home: Path, insightmart: CommandLine) -> None:
    before = everything(home)
    told = insightmart.json("retention", "--give-up-rejects", "unreadable")
    found = {line["table"]: line["rows"] for line in told["tables"]}
    assert found["raw.oltp_orders"] > 0
    assert found["kept originals (files)"] == 1
    assert (told["applied"], told["deleted"], told["held_back"]) == (False, {}, [])
    assert everything(home) == before
    assert (home / "quarantine" / "cafe").exists()


def test_applied_it_deletes_what_it_said_and_no_aggregate_changes(home: Path, insightmart: CommandLine) -> None:
    before = figures(home)
    told = insightmart.json("retention", "--apply", "--give-up-rejects", "unreadable")
    said = {line["table"]: line["rows"] for line in told["tables"] if line["rows"]}
    assert told["deleted"] == said
    assert figures(home) == before
    assert rows(home, "SELECT COUNT(*) FROM raw.stores_inventory WHERE counted_at < DATE '2026-03-06'") == [(0,)]
    assert rows(home, "SELECT MIN(counted_at) FROM raw.stores_inventory")[0][0] >= CUT
    assert rows(home, "SELECT MIN(counted_hour) FROM certified.fct_inventory")[0][0] >= CUT
    # orders of the 5th that were given back on the 6th stay, with their lines, in raw, staging and the facts
    old = f"ordered_at < TIMESTAMP '{CUT}'"
    held = [order for (order,) in rows(home, f"SELECT order_id FROM raw.oltp_orders WHERE {old} ORDER BY 1")]
    returned = rows(home, f"SELECT DISTINCT order_id FROM raw.oltp_refunds WHERE refunded_at >= TIMESTAMP '{CUT}'")
    assert held
    assert {(order,) for order in held} <= set(returned)
    assert set(rows(home, f"SELECT CAST(order_id AS BIGINT) FROM certified.fct_orders WHERE {old}")) <= set(returned)
    orphans = "SELECT COUNT(*) FROM raw.oltp_order_lines WHERE order_id NOT IN (SELECT order_id FROM raw.oltp_orders)"
    assert rows(home, orphans) == [(0,)]
    assert not (home / "quarantine" / "cafe").exists()
    # the version of the customer that somebody may still ask for says what it said; the one before says nothing
    assert rows(home, "SELECT email, city, country FROM raw.oltp_customers ORDER BY updated_at") == [
        (None, None, "GB"),
        ("ada@new.example", "Ockham", "GB"),
    ]
    assert insightmart("ledger", "verify")[0] == 0, insightmart("ledger", "verify")


def test_applied_twice_it_does_nothing_more(purged: Path, insightmart: CommandLine) -> None:
    before = [table for table in everything(purged) if table[0] != "ops"]
    assert insightmart.json("retention", "--apply")["deleted"] == {}
    assert [table for table in everything(purged) if table[0] != "ops"] == before
    assert rows(purged, "SELECT class, status, purged_before FROM ops.purges") == [("raw", "done", HORIZON)]


def test_it_is_in_the_ledger(home: Path, insightmart: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSIGHTMART_ACTOR", "ada")
    insightmart("retention", "--apply", "--give-up-rejects", "unreadable, ticket 4713")
    entries = json.loads(insightmart("ledger", "show", "--kind", "retention", "--json")[1])
    (told,) = [entry["details"] for entry in entries if entry["subject"].startswith("retention")]
    assert (told["class"], told["purged_before"], told["actor"]) == ("raw", "2026-03-08T00:00:00.000000", "ada")
    assert told["deleted"]["raw.oltp_orders"] > 0
    summaries = [entry["details"]["summary"] for entry in entries if "summary" in entry["details"]]
    assert [summary["gave_up_rejects"] for summary in summaries] == ["unreadable, ticket 4713"]
    assert insightmart("ledger", "verify")[0] == 0, insightmart("ledger", "verify")


def _hold(warehouse: Warehouse, what: str) -> None:
    window = {"window_start": datetime(2026, 3, 5, 9), "window_end": datetime(2026, 3, 5, 10), "status": "open"}
    if what == "month":
        warehouse.execute("DELETE FROM ops.closes")
    elif what == "correction":
        warehouse.insert("ops.correction_windows", [window | {"window_id": "w", "source": "oltp", "entity": "sales"}])
    elif what == "question":
        warehouse.insert("ops.deletion_questions", [{"question_id": "q", "source": "oltp", "state": "open"}])
    elif what == "backfill":
        warehouse.insert("ops.backfills", [window | {"backfill_id": "b", "source": "oltp"}])
    elif what == "hours":
        loaded = (
            "UPDATE ops.source_watermarks SET covered_through = ? WHERE entity IN ('orders', 'order_lines', 'refunds')"
        )
        warehouse.execute(f"{loaded} AND source = 'oltp'", [datetime(2026, 3, 7)])
    elif what == "mark":
        warehouse.insert("ops.unpublished_windows", [{"mark_id": "m", "window_start": datetime(2026, 3, 5)}])


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("month", "finance has not closed 2026-03"),
        ("correction", "1 correction windows to be certified again"),
        ("question", "1 questions about rows that vanished"),
        ("backfill", "1 backfills that were not finished"),
        ("mark", "1 windows that are not in the journal yet"),
        ("hours", "sales (store and phone) is certified through 2026-03-06 10:00 UTC"),
        ("reject", "1 rejected records or files that could be replayed"),
    ],
)
def test_what_is_open_holds_it_back(home: Path, settings: Settings, what: str, said: str) -> None:
    with open_duckdb(home / "INSIGHTMART.duckdb") as warehouse:
        _hold(warehouse, what)
        found = purge.survey(warehouse, settings, NOW, give_up_rejects=what != "reject")
        assert [hold.what.startswith(said) for hold in found.holds] == [True]
        assert found.horizons["raw"] <= datetime(2026, 3, 6)
        assert [line.table for line in found.lines if line.rows and "oltp_orders" in line.table] == []


def test_killed_it_is_finished_by_the_next_one_and_nothing_is_computed_meanwhile(
    home: Path, insightmart: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = figures(home)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(purge, "empty_old_customers", killed)
        assert insightmart("retention", "--apply", "--give-up-rejects", "r")[0] == 130
    assert rows(home, "SELECT status, purged_before FROM ops.purges") == [("begun", HORIZON)]
    code, _, err = insightmart("restate", "core.fct_orders__oltp", "--from", "2026-03-05", "--to", "2026-03-06")
    assert (code, "raw from before was deleted" in err) == (2, True)
    assert insightmart("retention", "--apply", "--give-up-rejects", "r")[0] == 0
    assert rows(home, "SELECT status, purged_before FROM ops.purges") == [("done", HORIZON)]
    assert rows(home, "SELECT COUNT(*) FROM raw.oltp_customers WHERE email = 'ada@old.example'") == [(0,)]
    assert not (home / "quarantine" / "cafe").exists()
    assert figures(home) == before
    assert insightmart("ledger", "verify")[0] == 0, insightmart("ledger", "verify")


@pytest.mark.parametrize(
    "command",
    [
        ("restate", "staging._oltp_orders", "--from", "2026-03-05", "--to", "2026-03-10", "--yes"),
        ("restate", "core.fct_orders__oltp", "--from", "2026-03-05", "--to", "2026-03-06", "--dry-run"),
        ("backfill", "oltp", "--from", "2026-03-05", "--to", "2026-03-06"),
        ("ingest", "oltp", "--from", "2026-03-05", "--to", "2026-03-06"),
        ("reconcile", "--from", "2026-03-05", "--to", "2026-03-05"),
    ],
)
def test_whatever_would_compute_purged_hours_is_refused_in_one_line(
    purged: Path, insightmart: CommandLine, command: tuple[str, ...]
) -> None:
    before = everything(purged)
    code, _, err = insightmart(*command)
    assert code == 2
    assert "lies before 2026-03-08 UTC" in err
    assert "What can still be proven" in err
    assert [table for table in everything(purged) if table[0] != "ops"] == [
        table for table in before if table[0] != "ops"
    ]


def test_a_plain_restatement_of_purged_hours_leaves_every_figure(purged: Path) -> None:
    before = figures(purged)
    with project_in(purged, SHAPE) as (_, transformer):
        for models in (["staging._oltp_order_headers"], ["core.fct_orders__oltp"], ["core.fct_inventory__stores"]):
            outcome = transformer.restate(models, datetime(2026, 3, 5), datetime(2026, 3, 6, 10), NOW)
            assert outcome.failures == {}
    assert figures(purged) == before


def test_another_version_of_a_model_takes_over_what_was_published(
    purged_home: Path, workshop: Callable[[Path], Workshop]
) -> None:
    shop = workshop(purged_home)
    before = figures(shop.home)
    journal = rows(shop.home, "SELECT COUNT(*) FROM ops.published_changes")
    orders = "models/core/fct_orders__source.sql"
    shop.edit(orders, "COALESCE(o.shipping_amount, 0)", "COALESCE(o.shipping_amount, 0) + 1")
    # as somebody would who leaves out the review
    shop.plan("prod", execution_time=datetime(2026, 3, 6, 10, 5))
    assert figures(shop.home) == before
    assert rows(shop.home, "SELECT COUNT(*) FROM ops.published_changes") == journal
    assert rows(shop.home, "SELECT COUNT(*) FROM certified.fct_orders")[0][0] > 0


def test_of_a_window_across_the_horizon_only_what_lies_after_it_is_built_anew(
    old_home: Path, workshop: Callable[[Path], Workshop]
) -> None:
    shop = workshop(old_home)
    with shop.warehouse() as warehouse:
        begun = {"purge_id": "p", "class": "raw", "purged_before": CUT, "status": "begun"}
        warehouse.insert("ops.purges", [begun])
    sold = "SELECT sold_hour, SUM(orders), SUM(shipping) FROM certified.agg_sales_hourly__oltp GROUP BY 1 ORDER BY 1"
    before = rows(shop.home, sold)
    facts = "models/core/fct_orders__source.sql"
    shop.edit(facts, "COALESCE(o.shipping_amount, 0)", "COALESCE(o.shipping_amount, 0) + 1")
    shop.edit(facts, "    o.total_amount,\n", "    o.total_amount + 1 AS total_amount,\n")
    shop.plan("prod", execution_time=datetime(2026, 3, 6, 10, 5))
    assert rows(shop.home, sold) == [
        (hour, orders, shipping if hour < CUT else shipping + orders) for hour, orders, shipping in before
    ]
    assert max(hour for hour, *_ in before) > CUT
    causes = rows(shop.home, "SELECT DISTINCT cause FROM ops.published_changes WHERE business_date < DATE '2026-03-05'")
    assert ("changed rule or model",) not in causes


def test_a_late_change_of_a_purged_hour_is_written_down_and_not_restated(purged: Path) -> None:
    with open_duckdb(purged / "INSIGHTMART.duckdb") as warehouse:
        context = IngestContext(warehouse, purged, NOW, datetime(2026, 3, 5), lambda _: None, None)
        late = Window(HORIZON - timedelta(hours=2), HORIZON + timedelta(hours=1))
        assert correction_queue.queue(context, [Correction("oltp", "sales", late, "load", 3, "late")]) == 1
        found = warehouse.rows("SELECT status, window_start, window_end FROM ops.correction_windows ORDER BY 1")
        assert found == [("open", HORIZON, late.end), ("purged", late.start, HORIZON)]
        (notice,) = context.notices
        assert "what was published of it stays" in notice.message


def test_evidence_goes_with_its_entries_and_the_ledger_says_so(
    purged: Path, insightmart: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    insightmart("ledger", "note", "so that there are entries")
    insightmart("retention", "--apply")
    assert rows(purged, "SELECT COUNT(*) FROM ops.check_results")[0][0] > 0
    typed = insightmart("retention", "--apply", "--give-up-rejects", "r", "--as-of", "2050-01-01T00:00")
    assert (typed[0], "lies in the future" in typed[2]) == (2, True)
    assert rows(purged, "SELECT COUNT(*) FROM ops.check_results")[0][0] > 0
    monkeypatch.setenv("INSIGHTMART_AS_OF", "2050-01-01T00:00")
    told = insightmart.json("retention", "--apply", "--give-up-rejects", "r")
    assert told["deleted"]["ops.check_results"] > 0
    assert any(table.startswith("certified.agg_sales_hourly__") for table in told["deleted"])
    assert rows(purged, "SELECT COUNT(*) FROM ops.check_results") == [(0,)]
    assert rows(purged, "SELECT COUNT(*) FROM certified.agg_sales_daily") == [(0,)]
    code, out, _ = insightmart("ledger", "verify")
    assert code == 0, out
    assert "were deleted by retention, as entry" in out
    # the journal does not take it for a change, and what is gone without retention is still named
    assert rows(purged, "SELECT COUNT(*) FROM ops.purges") == [(4,)]
    with open_duckdb(purged / "INSIGHTMART.duckdb") as warehouse:
        warehouse.execute("DELETE FROM ops.runs WHERE started_at = (SELECT MAX(started_at) FROM ops.runs)")
    code, out, _ = insightmart("ledger", "verify")
    assert (code, "are gone" in out) == (1, True)


@pytest.mark.parametrize(
    ("settings_", "cause"),
    [
        ({"RETENTION_RAW": "30 days"}, "less than the 90 days"),
        ({"RETENTION_RAW": "6 years"}, "must not be shorter than"),
        ({"RETENTION_EVIDENCE": "4 years"}, "must not be shorter than"),
        ({"RETENTION_RAW": "for ever"}, "RETENTION_RAW cannot be used"),
    ],
)
def test_periods_that_make_no_sense_are_one_line(
    home: Path, insightmart: CommandLine, monkeypatch: pytest.MonkeyPatch, settings_: dict[str, str], cause: str
) -> None:
    for name, value in settings_.items():
        monkeypatch.setenv(name, value)
    code, _, err = insightmart("retention")
    assert (code, cause in err, len(err.splitlines())) == (2, True, 1)


@pytest.fixture(scope="module")
def project(old_home: Path) -> Iterator[tuple[Warehouse, Any]]:
    with project_in(old_home, SHAPE) as opened:
        yield opened


def test_every_table_of_records_and_every_model_filled_by_time_has_its_rule(project: tuple[Warehouse, Any]) -> None:
    warehouse, transformer = project
    ruled = {deletion.name for deletion in deletions(warehouse)}
    dimensions = {"raw.oltp_customers", "raw.oltp_products", "raw.shopify_products", "raw.stores_reference"}
    assert {f"raw.{item.table}" for item in ENTITIES} == {name for name in ruled if name.startswith("raw")} - {
        "raw.rejects"
    } | dimensions
    for name, model in own_models(transformer.context).items():
        if model.kind.is_incremental_by_time_range and layer(model) in ("staging", "core", "certified"):
            assert time_of(layer(model), name.split(".")[1]) == model.time_column.column.name.lower(), name
            assert name in ruled
