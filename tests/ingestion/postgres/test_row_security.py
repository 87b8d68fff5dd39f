"""Policies of row-level security at the PostgreSQL source: what they hide is an error, never a deletion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from ingestion.loading.context import IngestContext, SourceError, Window
from ingestion.postgres import first_load as postgres_first_load
from ingestion.postgres.snapshot import Snapshot
from ingestion.postgres.source import backfill, ingest
from insightmart.doctor.examination import examine
from insightmart.settings import Settings

if TYPE_CHECKING:
    from conftest import Oltp

At = Callable[[str], IngestContext]
TODAY, TOMORROW = "2026-03-05T10:00", "2026-03-06T10:00"


@pytest.fixture
def guarded(oltp: Oltp) -> Iterator[Oltp]:
    """Orders of stores 7 and 8, one each; the policies that a test makes are gone after it."""
    for store in (7, 8):
        at = "2026-03-05 09:10+00"
        oltp.add("orders", order_id=store, store_id=store, total_amount=10, ordered_at=at, updated_at=at)
        oltp.add("customers", customer_id=store, updated_at=at)
    yield oltp
    for table in ("orders", "customers"):
        oltp.execute(f"DROP POLICY IF EXISTS own_region ON {table}")
        oltp.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        oltp.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")


def hide(oltp: Oltp, table: str, condition: str) -> None:
    oltp.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    oltp.execute(f"CREATE POLICY own_region ON {table} FOR SELECT USING ({condition})")


def rows(context: IngestContext, table: str) -> list[tuple[Any, ...]]:
    key = "order_id" if table == "oltp_orders" else "customer_id"
    return context.warehouse.rows(f"SELECT DISTINCT {key}, _deleted_at FROM raw.{table} ORDER BY 1")


def covered(context: IngestContext, entity: str) -> datetime:
    value: datetime = context.warehouse.value(
        "SELECT covered_through FROM ops.source_watermarks WHERE entity = ?", [entity]
    )
    return value


def test_a_policy_that_hides_one_store_is_one_line_and_heals_with_the_cure(at: At, guarded: Oltp) -> None:
    ingest(at(TODAY), guarded.source)
    hide(guarded, "orders", "store_id < 8")
    context = at(TOMORROW)
    with pytest.raises(SourceError) as raised:
        ingest(context, guarded.source)
    assert "public.orders has row-level security" in raised.value.cause
    assert "BYPASSRLS" in raised.value.cure
    assert rows(context, "oltp_orders") == [(7, None), (8, None)]
    assert covered(context, "orders") == datetime(2026, 3, 5, 10)
    assert context.warehouse.value("SELECT COUNT(*) FROM ops.correction_windows") == 0

    guarded.add("orders", order_id=9, store_id=8, total_amount=1, updated_at="2026-03-06 09:00+00")
    guarded.execute("ALTER ROLE insightmart_reader BYPASSRLS")
    try:
        healed = at("2026-03-06T11:00")
        ingest(healed, guarded.source)
    finally:
        guarded.execute("ALTER ROLE insightmart_reader NOBYPASSRLS")
    assert rows(healed, "oltp_orders") == [(7, None), (8, None), (9, None)]
    assert covered(healed, "orders") == datetime(2026, 3, 6, 11)


def test_a_policy_on_one_table_stops_that_table_alone(at: At, guarded: Oltp) -> None:
    hide(guarded, "customers", "customer_id < 8")
    context = at(TODAY)
    with pytest.raises(SourceError, match=r"public\.customers has row-level security"):
        ingest(context, guarded.source)
    assert rows(context, "oltp_orders") == [(7, None), (8, None)]
    assert rows(context, "oltp_customers") == []
    loaded = context.warehouse.rows("SELECT entity FROM ops.source_watermarks ORDER BY 1")
    assert loaded == [("order_lines",), ("orders",), ("products",), ("refunds",)]


def test_a_policy_that_says_true_for_everyone_may_as_well_hide(at: At, guarded: Oltp) -> None:
    hide(guarded, "orders", "true")
    with pytest.raises(SourceError, match="row-level security"):
        ingest(at(TODAY), guarded.source)


def test_security_without_any_policy_hides_everything_and_is_refused(at: At, guarded: Oltp) -> None:
    guarded.execute("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    with pytest.raises(SourceError, match=r"public\.orders has row-level security"):
        ingest(at(TODAY), guarded.source)


def test_a_backfill_does_not_bury_what_a_policy_hides(at: At, guarded: Oltp) -> None:
    ingest(at(TODAY), guarded.source)
    hide(guarded, "orders", "store_id < 8")
    context = at("2026-03-05T11:00")
    with pytest.raises(SourceError, match="row-level security") as raised:
        backfill(context, guarded.source, Window(datetime(2026, 3, 5), datetime(2026, 3, 6)), ["orders"])
    assert "BYPASSRLS" in raised.value.cure
    assert rows(context, "oltp_orders") == [(7, None), (8, None)]


def test_a_first_load_in_pieces_is_refused_as_well(at: At, guarded: Oltp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_first_load, "PIECE_ROWS", 1)
    guarded.execute("CREATE INDEX orders_of_the_policy ON orders (order_id)")
    hide(guarded, "orders", "store_id < 8")
    context = at(TODAY)
    try:
        with pytest.raises(SourceError, match="row-level security"):
            ingest(context, guarded.source, entities=["orders"])
    finally:
        guarded.execute("DROP INDEX orders_of_the_policy")
    assert rows(context, "oltp_orders") == []


def test_a_policy_behind_a_view_raises_at_the_query(guarded: Oltp) -> None:
    hide(guarded, "orders", "store_id < 8")
    with Snapshot(guarded.source) as snapshot:
        assert snapshot.rows("SHOW row_security") == [("off",)]
        with pytest.raises(Exception, match='row-level security policy for table "orders"'):
            snapshot.rows("SELECT COUNT(*) FROM orders")


def test_doctor_names_the_tables_and_the_cure_beforehand(guarded: Oltp, tmp_path: Any) -> None:
    hide(guarded, "orders", "store_id < 8")
    settings = Settings(home=tmp_path, OLTP_DSN=guarded.source.dsn, _env_file=None)  # type: ignore[call-arg]
    [finding] = examine(settings, ["oltp"])
    assert finding.status == "failed"
    assert finding.detail == "row-level security is on for public.orders, and role insightmart_reader is not exempt"
    assert "BYPASSRLS" in finding.cure
